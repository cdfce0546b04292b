import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

const KIND = /^[a-z][a-z0-9_-]{0,63}$/;

const UNITS = { h: 3_600, d: 86_400, w: 604_800, y: 31_536_000 } as const;
const AGE_MAX_SECONDS = 100 * UNITS.y;

/**
 * How old memories may become, in seconds since they were last changed. One with an end of its own goes when that is past,
 * whatever is said here.
 */
export interface MemoryRetention {
  /** Of every kind that is not named; left out: those stay. */
  readonly olderThan?: number;
  readonly kinds: Readonly<Record<string, number>>;
}

/** @throws OpsError `InvalidInput` */
export function parseKind(text: unknown): string {
  if (typeof text === 'string' && KIND.test(text)) return text;
  throw new OpsError(
    'InvalidInput',
    `not a kind of memory: ${quoteForMessage(text)}`,
    '1 to 64 of a-z, 0-9, _ and -, beginning with a letter',
  );
}

/**
 * `12h`, `90d`, `2w`, `1y`.
 *
 * @returns seconds
 * @throws OpsError `InvalidInput`
 */
export function parseAge(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,6})([hdwy])$/.exec(text) ?? [];
  const seconds = count === undefined ? NaN : Number(count) * UNITS[unit as keyof typeof UNITS];
  if (seconds <= AGE_MAX_SECONDS) return seconds;
  throw new OpsError(
    'InvalidInput',
    `not an age: ${quoteForMessage(text)}`,
    'a whole number of h, d, w or y (365 days), at most 100y, such as 90d',
  );
}

/** What {@link parseAge} reads back as the same age; in days where it can be. */
export function formatAge(seconds: number): string {
  return seconds % UNITS.d === 0 ? `${seconds / UNITS.d}d` : `${seconds / UNITS.h}h`;
}

/**
 * What `--older-than` and `--kind` say. `chat=30d` gives a kind an age of its own; `chat` alone says that only the named
 * kinds are meant, and takes the age of `--older-than`.
 *
 * @throws OpsError `InvalidInput` when nothing is to go, or a kind has no age or two
 */
export function parseRetention(olderThan: string | undefined, kinds: readonly string[]): MemoryRetention {
  const others = olderThan === undefined ? undefined : parseAge(olderThan);
  const ages = new Map<string, number>();
  let onlyNamed = false;
  for (const entry of kinds) {
    const at = entry.indexOf('=');
    const kind = parseKind(at < 0 ? entry : entry.slice(0, at));
    const age = at < 0 ? others : parseAge(entry.slice(at + 1));
    if (at < 0) onlyNamed = true;
    if (age === undefined)
      throw new OpsError('InvalidInput', `how old may ${kind} become?`, `say so: --kind ${kind}=90d`);
    if (ages.has(kind)) throw new OpsError('InvalidInput', `kind ${kind} is named twice`, 'name it once');
    ages.set(kind, age);
  }
  return requireRetention({
    ...(others === undefined || onlyNamed ? {} : { olderThan: others }),
    kinds: Object.fromEntries([...ages].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  });
}

/** @throws OpsError `InvalidInput` for one that lets everything stay */
export function requireRetention(retention: MemoryRetention): MemoryRetention {
  if (retention.olderThan !== undefined || Object.keys(retention.kinds).length > 0) return retention;
  throw new OpsError(
    'InvalidInput',
    'a retention without an age would remove nothing',
    'give --older-than 90d, or --kind chat=30d',
  );
}

/**
 * What is too old at a time, in the form `src/memory` takes it.
 *
 * @param now milliseconds since the epoch
 */
export function cutoffsOf(
  { olderThan, kinds }: MemoryRetention,
  now: number,
): { otherwise?: number; kinds: Record<string, number>; expiredAt: number } {
  const before = (age: number) => now - age * 1000;
  return {
    ...(olderThan === undefined ? {} : { otherwise: before(olderThan) }),
    kinds: Object.fromEntries(Object.entries(kinds).map(([kind, age]) => [kind, before(age)])),
    expiredAt: now,
  };
}

/** `older than 90d; chat: 30d` */
export function spokenRetention({ olderThan, kinds }: MemoryRetention): string {
  return [
    ...(olderThan === undefined ? [] : [`older than ${formatAge(olderThan)}`]),
    ...Object.entries(kinds).map(([kind, age]) => `${kind}: ${formatAge(age)}`),
  ].join('; ');
}
