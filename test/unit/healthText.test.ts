import { expect, test } from 'vitest';
import type { HealthAnswer, TenantHealth } from '../../src/client/health.js';
import { healthText } from '../../src/cli/health.js';
import { diagnosisText } from '../../src/cli/healthText.js';
import { type Severity } from '../../src/domain/health/checks.js';
import { parseTenantId } from '../../src/domain/ids.js';
import type { Alert } from '../../src/registry/alerts.js';

const AT = '2026-11-28T23:00:00+00:00';
const alert = (
  severity: Severity,
  message: string,
  fix: string,
  silencedUntil: string | null = null,
): Alert => ({
  ...{
    id: message,
    severity,
    message,
    fix,
    silencedUntil,
    tenant: null,
    incarnation: null,
    check: 'schemas',
  },
  ...{ openedAt: AT, lastSeen: AT, resolvedAt: null },
});
const health = (id: string, rest: Partial<TenantHealth> = {}): TenantHealth => ({
  ...{ tenant: parseTenantId(id), state: 'active', ok: true, checkedAt: AT, alerts: [] },
  ...{
    schemas: 'ok',
    config: 'ok',
    memory: 'ok',
    phoenixProject: 'ok',
    checks: { schemas: { state: 'ok' } },
  },
  ...rest,
});
const shared = { checks: {}, checkedAt: AT, alerts: [alert('critical', 'no Phoenix', 'cvops status')] };

test('health shows the worst first with what to do, then what is unknown, then who is well', () => {
  const answer: HealthAnswer = {
    ok: false,
    installation: shared,
    tenants: [
      health('acme_corp', { ok: false, alerts: [alert('warning', 'schema gone', 'cvops schema deploy')] }),
      health('globex_inc'),
      health('initech', {
        ok: false,
        checks: { phoenix: { state: 'unknown', why: 'phoenix does not answer' } },
      }),
      health('umbrella', { alerts: [alert('critical', 'known', 'cvops x', AT)] }),
    ],
  };
  const lines = healthText(answer)
    .split('\n')
    // eslint-disable-next-line no-control-regex -- a terminal's bold
    .map((line) => line.replaceAll(/\x1b\[\d+m/g, '').trimEnd());
  expect(lines[0]).toBe('there is something to do');
  expect(lines[1]).toMatch(/^STATE +WHO +WHAT +DO NEXT$/);
  expect(lines[2]).toMatch(/^critical +\(installation\) +no Phoenix +cvops status$/);
  expect(lines[3]).toMatch(/^critical \(silenced\) +umbrella +known +cvops x$/);
  expect(lines[4]).toMatch(/^warning +acme_corp +schema gone +cvops schema deploy$/);
  expect(lines.slice(5)).toEqual([
    'unknown: initech: phoenix (phoenix does not answer)',
    '1 tenant(s) well: globex_inc',
  ]);
});

test('a diagnosis says what each check means, and names the command below what is wrong', () => {
  const checks = { schemas: { state: 'critical' }, config: { state: 'ok' } } as const;
  const text = diagnosisText({
    ...{
      ok: false,
      installation: shared,
      tenants: [health('acme_corp', { ok: false, checks })],
      repaired: [],
    },
    findings: [
      {
        check: 'schemas',
        subject: 's',
        severity: 'critical',
        message: 's is gone',
        fix: 'cvops schema deploy',
      },
    ],
  });
  expect(text.split('\n')).toEqual([
    'acme_corp is active',
    '  schemas     critical  s is gone',
    '                         → cvops schema deploy',
    '  config      ok        its configurations are there and fit their rules',
    '  (installation) critical no Phoenix',
  ]);
});
