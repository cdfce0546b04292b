import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Verb } from '../../../src/domain/access.js';
import type { TenantId } from '../../../src/domain/ids.js';
import { EXIT } from '../../../src/cli/output.js';
import { command, hostCommands } from '../../support/access/commandTree.js';
import { type Things, TRIES } from '../../support/access/tries.js';
import { BACKUP, UUID, bad, badTenant, share } from '../../support/badInput/texts.js';

/** No stack anywhere: a command that asked before it looked at its arguments would exit 4, or 1. */
hostCommands({ CVOPS_HOME: '/nonexistent', DATABASE_URL: 'postgresql://127.0.0.1:1/none' });

const tenant = 'acme_corp' as TenantId;
const THINGS: Things = {
  ...{ tenant, erased: tenant, pair: [tenant, 'globex' as TenantId], folder: '/tmp', name: 'mine' },
  ...{ backup: BACKUP, operation: UUID, ingest: UUID, drill: UUID, memory: UUID, alert: UUID, token: UUID },
};
const verbs = Object.keys(TRIES) as Verb[];
const named = (thing: keyof Things, value: unknown) => {
  const changed = { ...THINGS, [thing]: value };
  return (verb: Verb) => TRIES[verb].args(changed);
};
/** The verbs whose command line has this in it. */
const naming = (thing: keyof Things, other: unknown): Verb[] =>
  verbs.filter((verb) => TRIES[verb].args(THINGS).join('\n') !== named(thing, other)(verb).join('\n'));

// A backup may be named by its folder, which may have any name.
const ofBackups = naming('backup', 'x').filter((verb) => verb !== 'backup verify');
const KINDS = [
  { thing: 'tenant', of: naming('tenant', 'x'), texts: badTenant, as: (text: string): unknown => text },
  { thing: 'erased', of: naming('erased', 'x'), texts: badTenant, as: (text: string): unknown => text },
  {
    thing: 'pair',
    of: naming('pair', ['x', 'y']),
    texts: badTenant,
    as: (text: string): unknown => [text, tenant],
  },
  { thing: 'backup', of: ofBackups, texts: bad(BACKUP), as: (text: string): unknown => text },
  ...(['operation', 'ingest', 'drill'] as const).map((thing) => ({
    ...{ thing, of: naming(thing, 'x'), texts: bad(UUID), as: (text: string): unknown => text },
  })),
] as const;

it('every command with a bad id exits 2 before it asks anybody, and says so in one line of JSON', async () => {
  expect(KINDS.map(({ of }) => of.length > 0)).not.toContain(false);
  const tried = fc.oneof(
    ...KINDS.map(({ thing, of, texts, as }) => ({
      weight: of.length,
      arbitrary: fc
        .tuple(
          fc.constantFrom(...of),
          texts.map((text) => named(thing, as(text))),
        )
        .map(([verb, args]) => args(verb)),
    })),
  );
  await fc.assert(
    fc.asyncProperty(tried, async (args) => {
      const { code, out, err } = await command('', args);
      expect([code, out], JSON.stringify(args)).toEqual([EXIT.usage, '']);
      const { error } = JSON.parse(err.trimEnd().split('\n').at(-1)!) as {
        error: { code: string; message: string };
      };
      expect(error.code).toBe('InvalidInput');
    }),
    share(8),
  );
});
