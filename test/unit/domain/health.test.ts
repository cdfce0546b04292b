import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CheckResult,
  type CheckResults,
  type Finding,
  SEVERITIES,
  type Severity,
  findingsOf,
  fingerprint,
  isAtLeast,
  severest,
  stateOf,
  uncheckable,
} from '../../../src/domain/health/checks.js';
import { type OpenAlert, settle } from '../../../src/domain/health/settle.js';
import { parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';

const tenant = parseTenantId('acme_corp');
const life = { tenant, incarnation: parseIncarnation('5c1d9f9e-3f53-4a8b-8f0e-0d2f4b1c6a11') };
const nextLife = { tenant, incarnation: parseIncarnation('6c1d9f9e-3f53-4a8b-8f0e-0d2f4b1c6a11') };
const finding = (subject: string, severity: Severity = 'warning'): Finding => ({
  ...{ subject, severity, message: `${subject} is wrong` },
});
const found = (...findings: Finding[]): CheckResult => ({ state: 'checked', findings });

describe('severity', () => {
  test('is that of the worst', () => {
    expect(severest(['info', 'critical', 'warning'])).toBe('critical');
    expect(severest([])).toBeUndefined();
    expect(stateOf(found())).toBe('ok');
    expect(stateOf(found(finding('a', 'info'), finding('b')))).toBe('warning');
    expect(stateOf({ state: 'unknown', why: 'phoenix does not answer' })).toBe('unknown');
  });

  test('is a total order', () => {
    for (const [i, a] of SEVERITIES.entries())
      for (const [j, b] of SEVERITIES.entries()) expect(isAtLeast(a, b)).toBe(i >= j);
  });
});

describe('fingerprints', () => {
  test('tell lives, the installation, checks and subjects apart', () => {
    const all = [life, nextLife, null].flatMap((scope) =>
      ['schemas', 'phoenix'].flatMap((check) => ['a', 'b'].map((what) => fingerprint(scope, check, what))),
    );
    expect(new Set(all).size).toBe(all.length);
    expect(fingerprint(life, 'schemas', 'a')).toBe(fingerprint({ ...life }, 'schemas', 'a'));
  });
});

describe('settling', () => {
  test('what could not be looked at stays as it was, and that it could not is told when nothing else explains it', () => {
    const open: OpenAlert[] = [
      { fingerprint: fingerprint(life, 'phoenix', 'p'), check: 'phoenix', severity: 'warning' },
    ];
    const away: CheckResults<string> = { phoenix: { state: 'unknown', why: 'away' } };
    expect(settle(life, open, away)).toEqual({ open: [], seen: [], resolve: [] });
    const failing = { phoenix: uncheckable(new Error('HTTP 500'), 'cvops diagnose acme_corp') };
    const { open: opened, resolve } = settle(life, open, failing);
    expect(opened).toMatchObject([{ subject: 'unchecked', severity: 'warning', check: 'phoenix' }]);
    expect(resolve).toEqual([]);
  });

  test('a check that no longer applies has nothing wrong; one that waits for an operation decides nothing', () => {
    const open: OpenAlert[] = ['backups', 'schemas'].map((check) => ({
      ...{ check, fingerprint: fingerprint(life, check, 'x'), severity: 'critical' },
    }));
    const { resolve } = settle(life, open, {
      backups: { state: 'skipped', why: 'inactive' },
      schemas: { state: 'waiting', why: 'restoreTenant is under way' },
    });
    expect(resolve).toEqual([fingerprint(life, 'backups', 'x')]);
  });

  test('only what has become worse is raised', () => {
    const open: OpenAlert[] = ['a', 'b', 'c'].map((subject) => ({
      ...{ check: 'schemas', fingerprint: fingerprint(life, 'schemas', subject), severity: 'warning' },
    }));
    const now = found(finding('a', 'critical'), finding('b', 'info'), finding('c'));
    const { seen } = settle(life, open, { schemas: now });
    expect(seen.map(({ subject, raised }) => [subject, raised])).toEqual([
      ['a', true],
      ['b', false],
      ['c', false],
    ]);
  });

  const CHECKS = ['schemas', 'config', 'phoenix'];
  const arbFinding = fc
    .record({ subject: fc.constantFrom('a', 'b', 'c'), severity: fc.constantFrom(...SEVERITIES) })
    .map(({ subject, severity }) => finding(subject, severity));
  const arbResult: fc.Arbitrary<CheckResult> = fc.oneof(
    fc.uniqueArray(arbFinding, { selector: ({ subject }) => subject }).map((findings) => found(...findings)),
    fc.constant<CheckResult>({ state: 'skipped', why: '' }),
    fc.constant<CheckResult>({ state: 'waiting', why: '' }),
    fc.constant<CheckResult>({ state: 'unknown', why: '' }),
    fc.constant(uncheckable(new Error('x'), 'y')),
  );
  const arbLook = fc.dictionary(fc.constantFrom(...CHECKS), arbResult);

  test('a run of looks: each thing has one open alert while it is wrong, and a new one the next time', () => {
    fc.assert(
      fc.property(fc.array(arbLook, { maxLength: 12 }), (looks) => {
        /** As the table would hold it. */
        let rows: (OpenAlert & { id: number })[] = [];
        let ids = 0;
        /** As a person would keep it: by check and subject, when it was last found or cured. */
        const wrong = new Map<string, Severity>();
        for (const look of looks) {
          const before = new Set(wrong.keys());
          for (const check of CHECKS) {
            const result = look[check];
            if (result === undefined) continue;
            if (result.state === 'checked' || result.state === 'skipped')
              for (const key of [...wrong.keys()]) if (key.startsWith(`${check} `)) wrong.delete(key);
            for (const { subject, severity } of findingsOf(result))
              wrong.set(`${check} ${subject}`, severity);
          }
          const { open, seen, resolve } = settle(life, rows, look);
          rows = rows.filter((row) => !resolve.includes(row.fingerprint));
          for (const alert of seen)
            rows = rows.map((row) =>
              row.fingerprint === alert.fingerprint ? { ...row, severity: alert.severity } : row,
            );
          for (const { fingerprint: key, check, severity } of open)
            rows.push({ fingerprint: key, check, severity, id: ids++ });

          expect(new Set(rows.map((row) => row.fingerprint)).size).toBe(rows.length);
          const expected = [...wrong].map(([key, severity]) => {
            const [check, subject] = key.split(' ');
            return [fingerprint(life, check!, subject!), severity];
          });
          expect(new Map(rows.map((row) => [row.fingerprint, row.severity]))).toEqual(
            new Map(expected as [string, Severity][]),
          );
          expect(open).toHaveLength([...wrong.keys()].filter((key) => !before.has(key)).length);
        }
      }),
    );
  });

  test('the same look again opens and resolves nothing', () => {
    fc.assert(
      fc.property(arbLook, (look) => {
        const first = settle(life, [], look);
        const again = settle(life, first.open, look);
        expect([again.open, again.resolve]).toEqual([[], []]);
        expect(again.seen.every(({ raised }) => !raised)).toBe(true);
      }),
    );
  });
});
