import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

/** How long a deactivated tenant is kept when nobody says otherwise. */
export const DEFAULT_RETENTION_DAYS = 90;
export const MAX_RETENTION_DAYS = 3650;
/** Days before the purge at which a notice is given. */
export const NOTICE_DAYS = [30, 7, 1] as const;
/** How long the name of a purged tenant stays taken. */
export const QUARANTINE_DAYS = 30;

export const DAY_MS = 24 * 60 * 60 * 1000;
/** No run sleeps longer: it upgrades to the newest worker, and reads the registry again, at least once a day. */
export const MAX_HOP_MS = DAY_MS;

/** @throws OpsError `InvalidInput` */
export function parseRetentionDays(value: unknown): number {
  const days = typeof value === 'string' && /^[0-9]{1,5}$/.test(value) ? Number(value) : value;
  if (typeof days === 'number' && Number.isInteger(days) && days >= 1 && days <= MAX_RETENTION_DAYS)
    return days;
  throw new OpsError(
    'InvalidInput',
    `not a number of days: ${quoteForMessage(value)}`,
    `a whole number from 1 to ${MAX_RETENTION_DAYS}; to delete at once: cvops tenant delete ID --hard`,
  );
}

/** When a retention ends and what was said of it. Milliseconds since the epoch. */
export interface Retention {
  readonly purgeAt: number;
  /** When that end was set: notices for a time before it make no sense. */
  readonly setAt: number;
  /** Days of the last notice that was given for this end; null before the first. */
  readonly noticed: number | null;
}

/**
 * The notice to give now, in days. After an outage only the nearest one: three notices at once would say nothing more.
 */
export function dueNotice({ purgeAt, setAt, noticed }: Retention, now: number): number | undefined {
  if (now >= purgeAt) return undefined;
  return NOTICE_DAYS.filter((days) => {
    const at = purgeAt - days * DAY_MS;
    return at > setAt && at <= now && (noticed === null || days < noticed);
  }).at(-1);
}

/** Milliseconds until there is something to do: the next notice, the end, or a day gone. Never negative. */
export function nextHop({ purgeAt, setAt, noticed }: Retention, now: number): number {
  const notices = NOTICE_DAYS.filter((days) => noticed === null || days < noticed)
    .map((days) => purgeAt - days * DAY_MS)
    .filter((at) => at > setAt && at > now);
  return Math.max(0, Math.min(MAX_HOP_MS, purgeAt - now, ...notices.map((at) => at - now)));
}
