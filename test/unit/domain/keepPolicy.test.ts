import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BackupId, backupId } from '../../../src/domain/backups.js';
import {
  KEEP_PERIODS,
  type KeepCandidate,
  type KeepPolicy,
  applyKeepPolicy,
  isoWeek,
  requireKeepPolicy,
} from '../../../src/domain/keepPolicy.js';

const DAY = 86_400_000;
const NOW = new Date('2026-11-28T12:00:00Z');

let counter = 0;
function made(startedAt: string, rest: Partial<KeepCandidate> = {}): KeepCandidate {
  const backup = backupId(new Date(startedAt), (counter++).toString(16).padStart(8, '0'));
  return { backup, state: 'complete', startedAt, endedAt: startedAt, sound: null, hold: null, ...rest };
}
const keptOf = (policy: KeepPolicy, all: readonly KeepCandidate[]): BackupId[] =>
  applyKeepPolicy(policy, all, NOW).flatMap((v) => (v.verdict === 'keep' ? [v.backup] : []));
const reasonsOf = (policy: KeepPolicy, all: readonly KeepCandidate[], of: KeepCandidate) =>
  applyKeepPolicy(policy, all, NOW).find(({ backup }) => backup === of.backup);

/** Day by day and backup by backup, without a sort or a calendar's names. */
function slowlyKept(policy: KeepPolicy, all: readonly KeepCandidate[]): Set<BackupId> {
  const complete = all.filter(({ state }) => state === 'complete');
  const isNewer = (a: KeepCandidate, b: KeepCandidate) =>
    a.startedAt > b.startedAt || (a.startedAt === b.startedAt && a.backup > b.backup);
  const newerThan = (one: KeepCandidate, among: readonly KeepCandidate[]) =>
    among.filter((other) => isNewer(other, one));
  const usable = complete.filter(({ sound }) => sound !== false);
  const startOf = {
    daily: (d: Date) => Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate()),
    weekly: (d: Date) => {
      let day = startOf.daily(d);
      while (new Date(day).getUTCDay() !== 1) day -= DAY;
      return day;
    },
    monthly: (d: Date) => Date.UTC(d.getUTCFullYear(), d.getUTCMonth()),
    yearly: (d: Date) => Date.UTC(d.getUTCFullYear(), 0),
  };
  const kept = new Set<BackupId>();
  for (const one of all) {
    const isComplete = complete.includes(one);
    const isUsable = usable.includes(one);
    const newestComplete = complete.find((c) => newerThan(c, complete).length === 0);
    if (one.state === 'running') kept.add(one.backup);
    if (one.hold !== null && one.state !== 'removed') kept.add(one.backup);
    if (one.state === 'failed' && NOW.getTime() - Date.parse(one.endedAt!) < DAY) kept.add(one.backup);
    if (isComplete && newerThan(one, complete).length === 0) kept.add(one.backup);
    if (isUsable && newerThan(one, usable).length === 0) kept.add(one.backup);
    if (isUsable && newerThan(one, usable).length < (policy.last ?? 0)) kept.add(one.backup);
    if (
      isComplete &&
      policy.withinDays !== undefined &&
      Date.parse(newestComplete!.startedAt) - Date.parse(one.startedAt) <= policy.withinDays * DAY
    )
      kept.add(one.backup);
    for (const rule of KEEP_PERIODS) {
      const periodOf = (c: KeepCandidate) => startOf[rule](new Date(c.startedAt));
      if (!isUsable || newerThan(one, usable).some((other) => periodOf(other) === periodOf(one))) continue;
      const newerPeriods = new Set(usable.map(periodOf).filter((period) => period > periodOf(one)));
      if (newerPeriods.size < (policy[rule] ?? 0)) kept.add(one.backup);
    }
  }
  return kept;
}

const candidate = fc
  .record({
    // Some weeks around a new year, and some far from it.
    minutes: fc.oneof(fc.integer({ min: 0, max: 40 * 24 * 60 }), fc.integer({ min: 0, max: 900 * 24 * 60 })),
    state: fc.constantFrom(
      ...(['complete', 'complete', 'complete', 'complete', 'failed', 'running', 'removed'] as const),
    ),
    sound: fc.constantFrom(null, null, true, false),
    hold: fc.constantFrom(null, null, null, 'lawsuit'),
  })
  .map(({ minutes, ...rest }) =>
    made(new Date(Date.UTC(2027, 0, 10) - minutes * 60_000).toISOString(), rest),
  );
const rule = fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined });
const policy = fc
  .record({ last: rule, withinDays: rule, daily: rule, weekly: rule, monthly: rule, yearly: rule })
  .map((rules) => Object.fromEntries(Object.entries(rules).filter(([, n]) => n !== undefined)) as KeepPolicy)
  .filter((rules) => Object.keys(rules).length > 0);

describe('a keep policy', () => {
  it('keeps what a slow reading of its words keeps, whatever the order of the backups', () => {
    fc.assert(
      fc.property(policy, fc.array(candidate, { maxLength: 40 }), (rules, all) => {
        const expected = slowlyKept(rules, all);
        expect(new Set(keptOf(rules, all))).toEqual(expected);
        expect(keptOf(rules, all.toReversed())).toEqual(keptOf(rules, all));
      }),
      { numRuns: 500 },
    );
  });

  it('never removes all that is complete, a held one or a running one, and says why it decides', () => {
    fc.assert(
      fc.property(policy, fc.array(candidate, { maxLength: 20 }), (rules, all) => {
        const verdicts = applyKeepPolicy(rules, all, NOW);
        expect(verdicts.map(({ backup }) => backup).toSorted()).toEqual(all.map((c) => c.backup).toSorted());
        for (const { backup, verdict, reasons } of verdicts) {
          const one = all.find((c) => c.backup === backup)!;
          expect(reasons.length).toBeGreaterThan(0);
          if (one.state === 'running') expect(verdict).toBe('keep');
          if (one.hold !== null && one.state !== 'removed') expect(reasons).toContain('held: lawsuit');
          if (verdict === 'remove') expect(reasons).toHaveLength(1);
        }
        const complete = all.filter(({ state }) => state === 'complete');
        const kept = new Set(keptOf(rules, all));
        if (complete.length > 0) expect(complete.some(({ backup }) => kept.has(backup))).toBe(true);
      }),
    );
  });

  it('decides the same while what it removes goes, one after the other', () => {
    fc.assert(
      fc.property(policy, fc.array(candidate, { maxLength: 30 }), fc.nat(30), (rules, all, gone) => {
        const kept = keptOf(rules, all);
        const dropped = all.filter(({ backup }) => !kept.includes(backup)).slice(0, gone);
        const left = all.filter((one) => !dropped.includes(one));
        expect(keptOf(rules, left)).toEqual(kept);
      }),
    );
  });

  it('takes the newest of each day that has one, and names every reason', () => {
    const [sunday, monday, early, late] = [
      made('2026-11-22T23:59:59Z'),
      made('2026-11-23T00:00:00Z'),
      made('2026-11-27T01:00:00Z'),
      made('2026-11-27T23:00:00Z'),
    ];
    const all = [sunday, monday, early, late];
    expect(keptOf({ daily: 2 }, all)).toEqual([late.backup, monday.backup]);
    expect(keptOf({ weekly: 2 }, all)).toEqual([late.backup, sunday.backup]);
    expect(reasonsOf({ last: 1, daily: 2, weekly: 1, monthly: 1, yearly: 1 }, all, late)!.reasons).toEqual([
      ...['the newest complete one', 'one of the last 1', 'daily: the newest of 2026-11-27'],
      ...['weekly: the newest of 2026-W48', 'monthly: the newest of 2026-11', 'yearly: the newest of 2026'],
    ]);
    expect(reasonsOf({ last: 1 }, all, early)).toMatchObject({
      verdict: 'remove',
      reasons: ['no rule keeps it'],
    });
  });

  it('counts its days from the newest backup: after an outage of months nothing more goes', () => {
    const [old, newer, newest] = [
      made('2026-01-01T00:00:00Z'),
      made('2026-02-01T00:00:00Z'),
      made('2026-02-08T00:00:00Z'),
    ];
    expect(keptOf({ withinDays: 7 }, [old, newer, newest])).toEqual([newest.backup, newer.backup]);
  });

  it('does not let an unsound backup take the place of a good one', () => {
    const [good, bad] = [made('2026-11-01T00:00:00Z'), made('2026-11-02T00:00:00Z', { sound: false })];
    expect(keptOf({ last: 1 }, [good, bad])).toEqual([bad.backup, good.backup]);
    expect(reasonsOf({ last: 1 }, [good, bad], good)!.reasons).toContain(
      'the newest that is not known to be unsound',
    );
    const newest = made('2026-11-03T00:00:00Z');
    expect(keptOf({ last: 2 }, [good, bad, newest])).toEqual([newest.backup, good.backup]);
  });

  it('leaves a failed backup for a day, and goes on with a removal that did not end', () => {
    const [fresh, stale] = [
      made('2026-11-27T12:30:00Z', { state: 'failed' }),
      made('2026-11-27T11:30:00Z', { state: 'failed' }),
    ];
    const half = made('2026-11-20T00:00:00Z', { state: 'removed', hold: 'came too late' });
    expect(keptOf({ last: 9 }, [fresh, stale, half])).toEqual([fresh.backup]);
  });

  it('names weeks as ISO 8601 does, across new years', () => {
    const weeks = ['2026-12-31', '2027-01-03', '2027-01-04', '2024-12-30', '2021-01-03', '2020-12-28'];
    expect(weeks.map((day) => isoWeek(new Date(`${day}T23:59:59Z`)))).toEqual([
      ...['2026-W53', '2026-W53', '2027-W01', '2025-W01', '2020-W53', '2020-W53'],
    ]);
  });

  it.each([{}, { last: 0 }, { daily: -1 }, { weekly: 1.5 }, { monthly: NaN }, { yearly: 10_001 }])(
    '%j is refused, and says what to give',
    (rules) => {
      const refused = expect.objectContaining({
        type: 'InvalidInput',
        hint: expect.stringContaining('--keep-last') as string,
      }) as Error;
      expect(() => requireKeepPolicy(rules)).toThrow(refused);
      expect(() => applyKeepPolicy(rules, [], NOW)).toThrow(refused);
    },
  );
});
