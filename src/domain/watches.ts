import { CRON_RULE, isCron } from './cron.js';
import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';
import { javaHashCode } from './naming.js';
import type { ProfileName } from './profiles.js';
import { type VideoSource, sourceText } from './sources.js';

declare const brand: unique symbol;
/** A watch's name, one a tenant, that went through {@link parseWatchName}. */
export type WatchName = string & { readonly [brand]: 'WatchName' };

/** When a watch looks. */
export type WatchTimes = { readonly everySeconds: number } | { readonly cron: string };

const NAME = /^[a-z0-9]+([_-][a-z0-9]+)*$/;
const NAME_MAX = 60;
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
/** A look lists the whole source: more often than this it would hardly do anything else. */
const EVERY_MIN_SECONDS = 10;
const EVERY_MAX_SECONDS = 30 * UNITS.d;
const JITTER_MAX_SECONDS = 5 * 60;

export const DEFAULT_EVERY_SECONDS = 15 * UNITS.m;
/** Seconds a file must have been left alone before it counts as written to its end. */
export const DEFAULT_SETTLE_SECONDS = 30;
export const MAX_SETTLE_SECONDS = UNITS.d;

/** @throws OpsError `InvalidInput`, naming the rule */
export function parseWatchName(text: unknown): WatchName {
  if (typeof text === 'string' && text.length <= NAME_MAX && NAME.test(text)) return text as WatchName;
  throw new OpsError(
    'InvalidInput',
    `not the name of a watch: ${quoteForMessage(text)}`,
    `1 to ${NAME_MAX} of a-z and 0-9, with single - and _ between them`,
  );
}

/**
 * The name of a watch that was given none: the source's last part and the profile's family for people, and a hash of
 * both, so that another source or profile is another watch.
 */
export function defaultWatchName(profile: ProfileName, source: VideoSource): WatchName {
  const last = lastPart(source)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 30)
    .replace(/^-+|-+$/g, '');
  const family = profile.split('_')[1] ?? profile;
  const hash = (javaHashCode(`${profile}\n${sourceText(source)}`) >>> 0).toString(16).padStart(8, '0');
  return parseWatchName([last, family, hash].filter((part) => part !== '').join('-'));
}

function lastPart(source: VideoSource): string {
  const text = source.kind === 's3' ? `${source.bucket}/${source.prefix}` : source.path;
  return text.split(/[\\/]/).findLast((part) => part !== '') ?? '';
}

/**
 * `90s`, `15m`, `6h`, `1d`.
 *
 * @returns seconds, 10 to 30 days
 * @throws OpsError `InvalidInput`
 */
export function parseEvery(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? [];
  const seconds = count === undefined ? NaN : Number(count) * UNITS[unit as keyof typeof UNITS];
  if (seconds >= EVERY_MIN_SECONDS && seconds <= EVERY_MAX_SECONDS) return seconds;
  throw new OpsError(
    'InvalidInput',
    `not an interval: ${quoteForMessage(text)}`,
    `a whole number of s, m, h or d, from ${formatEvery(EVERY_MIN_SECONDS)} to ${formatEvery(EVERY_MAX_SECONDS)}, such as 15m`,
  );
}

/** What {@link parseEvery} reads back as the same interval, in the largest unit that needs no fraction. */
export function formatEvery(seconds: number): string {
  const unit = (['d', 'h', 'm'] as const).find((u) => seconds % UNITS[u] === 0) ?? 's';
  return `${seconds / UNITS[unit]}${unit}`;
}

/** @throws OpsError `InvalidInput` */
export function parseCron(text: string): string {
  const cron = text.trim().replace(/\s+/g, ' ');
  if (isCron(cron)) return cron;
  throw new OpsError('InvalidInput', `not a cron expression: ${quoteForMessage(text)}`, CRON_RULE);
}

/** Watches of one interval do not all look at the same second. An hour that was named is kept to the minute. */
export function jitterSeconds(times: WatchTimes): number {
  if ('cron' in times) return 0;
  return Math.min(JITTER_MAX_SECONDS, Math.floor(times.everySeconds / 10));
}

/** `15m`, or the cron expression. */
export function formatTimes(times: WatchTimes): string {
  return 'cron' in times ? times.cron : formatEvery(times.everySeconds);
}

/** What {@link formatTimes} wrote. @throws OpsError `InvalidInput` */
export function parseTimes(text: string): WatchTimes {
  return text.includes(' ') ? { cron: parseCron(text) } : { everySeconds: parseEvery(text) };
}
