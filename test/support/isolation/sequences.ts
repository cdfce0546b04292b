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

const create: fc.Arbitrary<Deed> = fc.record({
  do: fc.constant('create' as const),
  base: fc.constantFrom('frame' as const, 'mv' as const),
  memory: fc.nat(3).map((n) => n === 3),
  override: fc.nat(3).map((n) => n > 0),
});
const plain = <T extends 'rollback' | 'schedule' | 'deactivate' | 'reactivate' | 'extend' | 'purge'>(
  name: T,
) => fc.constant({ do: name });
/** A step that is left out: what shrinking makes of those that a failure does not need. */
const NOTHING = undefined;

const deed: fc.Arbitrary<Deed | undefined> = fc.oneof(
  { withCrossShrink: true },
  { weight: 1, arbitrary: fc.constant(NOTHING) },
  { weight: 14, arbitrary: create },
  { weight: 8, arbitrary: plain('purge') },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant('ingest' as const), videos: fc.integer({ min: 1, max: 2 }) }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('addSchema' as const),
      base: fc.constantFrom('frame' as const, 'mv' as const, 'chunk' as const),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('setConfig' as const), maxQps: fc.integer({ min: 1, max: 100 }) }),
  },
  { weight: 3, arbitrary: plain('rollback') },
  { weight: 3, arbitrary: plain('schedule') },
  { weight: 5, arbitrary: plain('deactivate') },
  { weight: 3, arbitrary: plain('reactivate') },
  { weight: 2, arbitrary: plain('extend') },
);

const step = <D>(arbitrary: fc.Arbitrary<D>) => fc.record({ who: fc.nat(3), deed: arbitrary });

/** 6 to 14 steps, the first two of them creations, over the three or four tenants of one cast. */
export const sequences: fc.Arbitrary<Sequence> = fc
  .record({
    cast: fc.constantFrom(...CASTS),
    first: fc.tuple(step(create), step(create)),
    then: fc.array(step(deed), { minLength: 4, maxLength: 12 }),
  })
  .map(({ cast, first, then }) => ({
    cast,
    steps: [...first, ...then].flatMap(({ who, deed }): Step[] =>
      deed === undefined ? [] : [{ tenant: cast[who % cast.length]!, deed }],
    ),
    [fc.toStringMethod]() {
      return `\n${this.steps.map((s) => `  ${stepText(s)}`).join('\n')}\n`;
    },
  }));

/** `create acme_corp base=frame memory=false override=true`. */
export function stepText({ tenant, deed }: Step): string {
  const { do: name, ...how } = deed;
  return [name, tenant, ...Object.entries(how).map(([key, value]) => `${key}=${value}`)].join(' ');
}
