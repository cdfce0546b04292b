import type { BackupId } from './backups.js';
import { OpsError } from './errors.js';
import { DAY_MS } from './retention.js';

/** Rules that count: the newest backup of each of the newest n periods that have one. Days, months and years are UTC's, weeks ISO 8601's. */
const PERIODS = {
  daily: (at: Date) => at.toISOString().slice(0, 10),
  weekly: isoWeek,
  monthly: (at: Date) => at.toISOString().slice(0, 7),
  yearly: (at: Date) => at.toISOString().slice(0, 4),
} as const;
export type KeepPeriod = keyof typeof PERIODS;
export const KEEP_PERIODS = Object.keys(PERIODS) as KeepPeriod[];

/** Which backups are kept: each rule that is given keeps some, and what none keeps is removed. */
export type KeepPolicy = {
  /** The newest n. */
  readonly last?: number;
  /** Those begun within so many days before the newest complete one: not before now, or an outage would empty the store. */
  readonly withinDays?: number;
} & { readonly [period in KeepPeriod]?: number };

export const KEEP_MAX = 10_000;
/** How long a failed backup is left for whoever looks into it. */
export const FAILED_GRACE_MS = DAY_MS;

/** A backup as a policy sees it. Times in ISO 8601. */
export interface KeepCandidate {
  readonly backup: BackupId;
  /** `removed`: by an earlier prune that did not come to its end. */
  readonly state: 'running' | 'complete' | 'failed' | 'removed';
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Of its last verification; null: never verified. */
  readonly sound: boolean | null;
  /** Why it is held. */
  readonly hold: string | null;
}

export interface KeepVerdict {
  readonly backup: BackupId;
  readonly verdict: 'keep' | 'remove';
  /** Every reason to keep it, or the one to remove it. */
  readonly reasons: readonly string[];
}

/** @throws OpsError `InvalidInput` when no rule is given, or one is no whole number from 1 to 10,000 */
export function requireKeepPolicy(policy: KeepPolicy): KeepPolicy {
  const rules = Object.values(policy).filter((count) => count !== undefined);
  const hint = 'give at least one of --keep-last, --keep-within-days, --keep-daily, --keep-weekly, …';
  if (rules.length === 0)
    throw new OpsError('InvalidInput', 'a policy without a rule would keep nothing', hint);
  if (rules.some((count) => !Number.isInteger(count) || count < 1 || count > KEEP_MAX))
    throw new OpsError('InvalidInput', `each rule is a whole number from 1 to ${KEEP_MAX}`, hint);
  return policy;
}

/**
 * What becomes of each backup of one life of a tenant, newest first. Whatever the policy: the newest complete one stays,
 * and the newest that is not known to be unsound; held ones and running ones stay. One found unsound takes nobody's place
 * in a rule that counts.
 *
 * @throws OpsError `InvalidInput`, as `requireKeepPolicy`
 */
export function applyKeepPolicy(
  policy: KeepPolicy,
  candidates: readonly KeepCandidate[],
  now: Date,
): KeepVerdict[] {
  requireKeepPolicy(policy);
  const sorted = candidates.toSorted((a, b) => timeOf(b) - timeOf(a) || (a.backup < b.backup ? 1 : -1));
  const kept = keptByRules(policy, sorted);
  return sorted.map((candidate) => {
    const reasons = [...heldReasons(candidate), ...(kept.get(candidate.backup) ?? [])];
    const why = reasons.length > 0 ? undefined : removal(candidate, now);
    return why === undefined
      ? {
          backup: candidate.backup,
          verdict: 'keep',
          reasons: reasons.length > 0 ? reasons : [grace(candidate)],
        }
      : { backup: candidate.backup, verdict: 'remove', reasons: [why] };
  });
}

/** @param sorted newest first */
function keptByRules(
  { last, withinDays, ...counts }: KeepPolicy,
  sorted: readonly KeepCandidate[],
): Map<BackupId, string[]> {
  const kept = new Map<BackupId, string[]>();
  const keep = (candidate: KeepCandidate | undefined, reason: string) => {
    if (candidate !== undefined) kept.set(candidate.backup, [...(kept.get(candidate.backup) ?? []), reason]);
  };
  const complete = sorted.filter(({ state }) => state === 'complete');
  const usable = complete.filter(({ sound }) => sound !== false);
  const newest = complete[0];
  keep(newest, 'the newest complete one');
  if (usable[0] !== newest) keep(usable[0], 'the newest that is not known to be unsound');
  for (const candidate of usable.slice(0, last ?? 0)) keep(candidate, `one of the last ${last}`);
  if (withinDays !== undefined && newest !== undefined)
    for (const candidate of complete)
      if (timeOf(candidate) >= timeOf(newest) - withinDays * DAY_MS)
        keep(candidate, `within ${withinDays} days of the newest`);
  for (const rule of KEEP_PERIODS) {
    const newestOf = new Map<string, KeepCandidate>();
    for (const candidate of usable) {
      const period = PERIODS[rule](new Date(candidate.startedAt));
      if (!newestOf.has(period)) newestOf.set(period, candidate);
    }
    for (const [period, candidate] of [...newestOf].slice(0, counts[rule] ?? 0))
      keep(candidate, `${rule}: the newest of ${period}`);
  }
  return kept;
}

function heldReasons({ state, hold }: KeepCandidate): string[] {
  if (state === 'removed') return [];
  return hold === null ? [] : [`held: ${hold}`];
}

/** Why it goes; undefined: it stays for now. */
function removal(candidate: KeepCandidate, now: Date): string | undefined {
  switch (candidate.state) {
    case 'running':
      return undefined;
    case 'failed':
      return now.getTime() - Date.parse(candidate.endedAt ?? candidate.startedAt) >= FAILED_GRACE_MS
        ? 'it failed over a day ago'
        : undefined;
    case 'removed':
      return 'its removal did not come to its end';
    case 'complete':
      return candidate.sound === false ? 'no rule keeps it, and it is unsound' : 'no rule keeps it';
  }
}

function grace({ state }: KeepCandidate): string {
  return state === 'running' ? 'it is running' : 'it failed less than a day ago';
}

function timeOf({ startedAt }: KeepCandidate): number {
  return Date.parse(startedAt);
}

/** `2026-W53`: a week belongs to the year its Thursday is in. */
export function isoWeek(at: Date): string {
  const thursday = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()));
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7));
  const dayOfYear = (thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / DAY_MS;
  return `${thursday.getUTCFullYear()}-W${String(Math.floor(dayOfYear / 7) + 1).padStart(2, '0')}`;
}
