import { describe, expect, it } from 'vitest';
import { FAILURES, OpsError, isFailureType } from '../../../src/domain/errors.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import {
  BASE_SCHEMAS,
  PROFILES,
  PROFILE_NAMES,
  parseBaseSchema,
  parseProfile,
} from '../../../src/domain/profiles.js';
import {
  ALLOWED,
  TENANT_STATES,
  type TenantState,
  type TenantVerb,
  isAllowed,
  requireState,
} from '../../../src/domain/states.js';

const acme = parseTenantId('acme');

/** The design’s table, written out: what each state lets a user begin. */
const LETS: Readonly<Record<TenantState, readonly TenantVerb[]>> = {
  creating: ['delete', 'readConfig'],
  active: [
    'deactivate',
    'delete',
    'ingest',
    'continueIngest',
    'search',
    'recall',
    'remember',
    'continueMemory',
    'configure',
    'readConfig',
    'deploySchemas',
    'route',
    'optimize',
    'schedule',
    'backup',
    'restoreOver',
    'verifyIsolation',
  ],
  inactive: [
    'reactivate',
    'extend',
    'purgeNow',
    'delete',
    'continueIngest',
    'continueMemory',
    'readConfig',
    'backup',
    'restoreOver',
  ],
  purging: ['delete', 'readConfig'],
  purged: ['create'],
  creation_failed: ['create', 'delete', 'readConfig'],
};

/** What the refusal tells the user to do. */
const NEXT: Readonly<Record<TenantState, RegExp>> = {
  creating: /cvops op list --tenant acme$/,
  active: /cvops tenant (show|deactivate) acme$/,
  inactive: /cvops tenant reactivate acme$/,
  purging: /cvops op list --tenant acme$/,
  purged: /cvops tenant create acme$/,
  creation_failed: /cvops tenant create acme$/,
};

const VERBS = Object.keys(ALLOWED) as TenantVerb[];
const cases = TENANT_STATES.flatMap((state) =>
  VERBS.map((verb) => ({ state, verb, allowed: LETS[state].includes(verb) })),
);

describe('tenant states', () => {
  it.each(cases.filter((c) => c.allowed))('lets $verb begin when $state', ({ verb, state }) => {
    expect(isAllowed(verb, state)).toBe(true);
    expect(() => requireState(verb, acme, state)).not.toThrow();
  });

  it.each(cases.filter((c) => !c.allowed))(
    'refuses $verb when $state, saying what next',
    ({ verb, state }) => {
      expect(isAllowed(verb, state)).toBe(false);
      let error: unknown;
      try {
        requireState(verb, acme, state);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(OpsError);
      expect(error).toMatchObject({
        type: 'WrongState',
        exitCode: 6,
        message: expect.stringMatching(new RegExp(`^tenant acme is ${state}: cannot [a-z ]+$`)) as string,
        hint: expect.stringMatching(
          verb === 'create' && state === 'inactive' ? /cvops tenant show acme$/ : NEXT[state],
        ) as string,
      });
    },
  );

  it('names the time of the purge when an inactive tenant is refused something', () => {
    expect(() => requireState('search', acme, 'inactive', '2027-02-22T10:00:00Z')).toThrow(
      'tenant acme is inactive and will be purged at 2027-02-22T10:00:00Z: cannot search',
    );
  });

  it.each(VERBS)('phrases the refusal of %s in words', (verb) => {
    const state = TENANT_STATES.find((s) => !isAllowed(verb, s))!;
    expect(() => requireState(verb, acme, state)).toThrow(/: cannot [a-z]+( [a-z]+)*$/);
  });
});

describe('failure types', () => {
  it('have the exit codes of the command’s contract', () => {
    expect(
      Object.fromEntries(Object.entries(FAILURES).map(([type, { exitCode }]) => [type, exitCode])),
    ).toEqual({
      InvalidInput: 2,
      PartlyDone: 3,
      PermissionDenied: 4,
      NotFound: 5,
      WrongState: 6,
      Conflict: 6,
      QuotaExceeded: 7,
      VerificationFailed: 8,
      Rejected: 1,
      Unavailable: 1,
    });
  });

  it('are known by their own names only', () => {
    expect(isFailureType('NotFound')).toBe(true);
    for (const type of ['toString', '__proto__', 'notfound', '', undefined, null])
      expect(isFailureType(type)).toBe(false);
  });
});

describe('profiles', () => {
  it('are parsed by their exact names', () => {
    for (const name of PROFILE_NAMES) expect(parseProfile(name)).toBe(name);
    for (const name of BASE_SCHEMAS) expect(parseBaseSchema(name)).toBe(name);
  });

  it.each(['', 'agent_memories', 'VIDEO_COLPALI_SMOL500_MV_FRAME', '__proto__', 'constructor', undefined, 0])(
    'refuses the profile %j, naming those there are',
    (name) => {
      expect(() => parseProfile(name)).toThrow(
        expect.objectContaining({ type: 'InvalidInput', hint: `profiles: ${PROFILE_NAMES.join(', ')}` }),
      );
    },
  );

  it('refuses a tenant’s schema where a base schema is asked for', () => {
    expect(() => parseBaseSchema('agent_memories_acme')).toThrow(
      expect.objectContaining({ type: 'InvalidInput', hint: `base schemas: ${BASE_SCHEMAS.join(', ')}` }),
    );
  });

  it.each(Object.values(PROFILES))(
    '$name binarizes to whole bytes and cuts in steps above zero',
    (profile) => {
      expect(profile.dimensions % 8).toBe(0);
      const { segmentation } = profile;
      if (segmentation.kind === 'chunks')
        expect(segmentation.overlapSeconds).toBeLessThan(segmentation.seconds);
      else expect(segmentation.fps).toBeGreaterThan(0);
    },
  );
});
