import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import {
  QUOTA_RESOURCES,
  type QuotaState,
  fits,
  isNearLimit,
  parseQuotaChange,
  parseQuotaChanges,
  quotaExceeded,
  rateExceeded,
  shownQuota,
} from '../../../src/domain/quotas.js';

const acme = parseTenantId('acme_corp');
const state = (more: Partial<QuotaState>): QuotaState => ({
  ...{ resource: 'videos', max: 10, used: 0, reserved: 0, period: null, resetsAt: null },
  ...more,
});

describe('what a person sets', () => {
  test('every resource, with a number or none; storage in 10^6 bytes', () => {
    for (const resource of QUOTA_RESOURCES) {
      const max = resource === 'storage_mb' ? 12_000_000 : 12;
      expect(parseQuotaChange(`${resource}=12`)).toEqual({ resource, max });
      expect(parseQuotaChange(`${resource}=none`)).toEqual({ resource, max: null });
    }
  });

  test.each(['', 'videos', 'videos=', 'videos=-1', 'videos=1.5', 'videos=1e3', 'videos= 1', 'videos=１'])(
    'is no quota: %j',
    (text) => {
      expect(() => parseQuotaChange(text)).toThrow(OpsError);
    },
  );

  test('any text is a change or a refusal, and what is taken is shown as it was set', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.constantFrom(...QUOTA_RESOURCES), fc.string()).map((p) => p.join('=')),
        ),
        (text) => {
          let change;
          try {
            change = parseQuotaChange(text);
          } catch (error) {
            expect(error).toMatchObject({ type: 'InvalidInput', exitCode: 2 });
            return;
          }
          const { max } = shownQuota(state(change));
          expect(`${change.resource}=${max ?? 'none'}`).toBe(text.replace(/=0*(?=[0-9])/, '='));
        },
      ),
    );
  });

  test('the rate goes with the limits, and is always a number', () => {
    expect(parseQuotaChanges(['max_qps=5'], undefined)).toEqual({ changes: [], maxQps: 5 });
    expect(parseQuotaChanges(['api_calls=9', 'max_qps=5', 'videos=none'], 'day')).toEqual({
      changes: [
        { resource: 'api_calls', max: 9 },
        { resource: 'videos', max: null },
      ],
      ...{ period: 'day', maxQps: 5 },
    });
    for (const value of ['', 'none', '-1', '1.5', '1e3', ' 1'])
      expect(() => parseQuotaChanges([`max_qps=${value}`], undefined), value).toThrow(OpsError);
    expect(() => parseQuotaChange('max_gps=5')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('concurrent_ingests, max_qps') }),
    );
  });

  test('a period goes with calls, and each resource is given once', () => {
    expect(parseQuotaChanges(['api_calls=5', 'videos=1'], 'day')).toMatchObject({ period: 'day' });
    for (const [texts, period] of [
      [['videos=1'], 'day'],
      [['api_calls=none'], 'day'],
      [['api_calls=5'], 'year'],
      [['videos=1', 'videos=2'], undefined],
      [['max_qps=1', 'max_qps=2'], undefined],
      [['max_qps=1'], 'day'],
    ] as const)
      expect(() => parseQuotaChanges(texts, period)).toThrow(OpsError);
  });
});

describe('the rule', () => {
  test('what fits leaves the sum within the limit, and taking nothing always fits', () => {
    const amount = fc.nat({ max: 1000 });
    fc.assert(
      fc.property(amount, amount, amount, amount, (used, reserved, max, asked) => {
        expect(fits({ used, reserved, max }, asked)).toBe(asked === 0 || used + reserved + asked <= max);
        expect(fits({ used, reserved, max: null }, asked)).toBe(true);
      }),
    );
  });

  test('near its limit from nine tenths on; without one never', () => {
    expect([89, 90, 200].map((used) => isNearLimit({ used, reserved: 0, max: 100 }))).toEqual([
      ...[false, true, true],
    ]);
    expect(isNearLimit({ used: 10 ** 9, reserved: 0, max: null })).toBe(false);
  });
});

describe('a refusal', () => {
  test('says resource, used, asked, limit, when it resets, and what to do', () => {
    const calls = state({ resource: 'api_calls', max: 100, used: 100, resetsAt: '2026-12-01T00:00:00Z' });
    expect(quotaExceeded(acme, calls, 1)).toMatchObject({
      ...{ type: 'QuotaExceeded', exitCode: 7 },
      message:
        'quota api_calls of tenant acme_corp: 100 used, 1 asked, 100 allowed; it resets at 2026-12-01T00:00:00Z',
      hint: 'see it with: cvops quota show acme_corp; raise it with: cvops quota set acme_corp api_calls=MAX',
    });
    const bytes = state({ resource: 'storage_mb', max: 5_000_000, used: 4_500_000, reserved: 250_000 });
    expect(quotaExceeded(acme, bytes, 1_000_000).message).toContain(
      '4.5 used (and 0.25 reserved), 1 asked, 5 allowed; it does not reset',
    );
    // Ingests that run are in use.
    const ingests = state({ resource: 'concurrent_ingests', max: 1, reserved: 1 });
    expect(quotaExceeded(acme, ingests, 1).message).toContain(': 1 used, 1 asked, 1 allowed');
    expect(rateExceeded(acme, 'searches', 5, 2000).message).toContain('5 allowed, all used for the next 2 s');
  });
});
