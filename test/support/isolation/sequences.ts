import fc from 'fast-check';
import { CASTS, type Role } from './names.js';

/** What is done to one tenant. Counts are small: what matters is the order. */
export type Deed =
  | {
      readonly do: 'create';
      readonly base: 'frame' | 'mv';
      readonly memory: boolean;
      readonly override: boolean;
    }
  | { readonly do: 'addSchema'; readonly base: 'frame' | 'mv' | 'chunk' }
  | { readonly do: 'ingest'; readonly videos: number }
  | { readonly do: 'setConfig'; readonly maxQps: number }
  | { readonly do: 'rollback' }
  | { readonly do: 'schedule' }
  | { readonly do: 'deactivate' }
  | { readonly do: 'reactivate' }
  | { readonly do: 'extend' }
  | { readonly do: 'purge' };
export type DeedName = Deed['do'];
export const DEED_NAMES = [
  'create',
  'addSchema',
  'ingest',
  'setConfig',
  'rollback',
  'schedule',
  'deactivate',
  'reactivate',
  'extend',
  'purge',
] as const satisfies readonly DeedName[];

export interface Step {
  readonly tenant: Role;
  readonly deed: Deed;
}

export interface Sequence {
  readonly cast: readonly Role[];
  readonly steps: readonly Step[];
}

const MOST_STEPS = 14;

const create: fc.Arbitrary<Deed> = fc.record({
  do: fc.constant('create' as const),
  base: fc.constantFrom('frame' as const, 'mv' as const),
  memory: fc.nat(3).map((n) => n === 3),
  override: fc.nat(3).map((n) => n > 0),
});
const plain = <T extends 'rollback' | 'schedule' | 'deactivate' | 'reactivate' | 'extend' | 'purge'>(
  name: T,
) => fc.constant({ do: name });

/** One after the other on one tenant. */
type Phrase = readonly Deed[];
const alone = (deed: fc.Arbitrary<Deed>): fc.Arbitrary<Phrase> => deed.map((d) => [d]);

/** Of a random order few reactivations would find an inactive tenant: half of the deactivations have their sequel. */
const retention = fc.tuple(
  plain('deactivate'),
  fc.constantFrom<Phrase>([], [], [{ do: 'reactivate' }], [{ do: 'extend' }], [{ do: 'purge' }]),
);

const phrases: fc.Arbitrary<Phrase> = fc.oneof(
  { withCrossShrink: true },
  // Left out: what shrinking makes of a step that a failure does not need.
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 12, arbitrary: alone(create) },
  { weight: 9, arbitrary: alone(plain('purge')) },
  {
    weight: 9,
    arbitrary: alone(fc.record({ do: fc.constant('ingest'), videos: fc.integer({ min: 1, max: 2 }) })),
  },
  {
    weight: 8,
    arbitrary: alone(
      fc.record({ do: fc.constant('addSchema'), base: fc.constantFrom('frame', 'mv', 'chunk') }),
    ),
  },
  {
    weight: 6,
    arbitrary: alone(fc.record({ do: fc.constant('setConfig'), maxQps: fc.integer({ min: 1, max: 100 }) })),
  },
  { weight: 4, arbitrary: alone(plain('rollback')) },
  { weight: 4, arbitrary: alone(plain('schedule')) },
  { weight: 8, arbitrary: retention.map(([first, then]) => [first, ...then]) },
  { weight: 1, arbitrary: alone(plain('reactivate')) },
  { weight: 1, arbitrary: alone(plain('extend')) },
);

const spoken = <T>(what: fc.Arbitrary<T>) => fc.record({ who: fc.nat(3), what });

/**
 * Two creations and then 4 to 12 steps more, oftener few than many, over the three or four tenants of one cast.
 */
export const sequences: fc.Arbitrary<Sequence> = fc
  .record({
    cast: fc.constantFrom(...CASTS),
    first: fc.tuple(spoken(create), spoken(create)),
    then: fc.oneof(
      { weight: 3, arbitrary: fc.array(spoken(phrases), { minLength: 4, maxLength: 5 }) },
      { weight: 1, arbitrary: fc.array(spoken(phrases), { minLength: 6, maxLength: 12 }) },
    ),
  })
  .map(({ cast, first: [one, two], then }) => {
    const said = [one, { ...two, who: one.who + 1 + (two.who % 2) }].map(({ who, what }) => ({
      who,
      what: [what],
    }));
    const steps = [...said, ...then].flatMap(({ who, what }) =>
      what.map((deed): Step => ({ tenant: cast[who % cast.length]!, deed })),
    );
    return {
      cast,
      steps: steps.slice(0, MOST_STEPS),
      [fc.toStringMethod]() {
        return `\n${this.steps.map((step) => `  ${stepText(step)}`).join('\n')}\n`;
      },
    };
  });

/** `create acme_corp base=frame memory=false override=true`. */
export function stepText({ tenant, deed }: Step): string {
  const { do: name, ...how } = deed;
  return [name, tenant, ...Object.entries(how).map(([key, value]) => `${key}=${value}`)].join(' ');
}
