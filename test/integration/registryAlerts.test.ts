import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../src/health/checks/check.js';
import type { CheckResults, Finding } from '../../src/domain/health/checks.js';
import { OpsError } from '../../src/domain/errors.js';
import { deliverAlerts } from '../../src/health/deliver.js';
import type { HealthResources } from '../../src/health/resources.js';
import { sweepInstallation, sweepTenants } from '../../src/health/sweep.js';
import { quotasCheck } from '../../src/health/checks/quotas.js';
import { parseQuotaChange } from '../../src/domain/quotas.js';
import { setQuotas } from '../../src/quotas/set.js';
import { tenantMetrics } from '../../src/metrics/tenantMetrics.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { claimEvent, endEvent } from '../../src/registry/alertEvents.js';
import {
  countOpenAlerts,
  forgetResolved,
  listAlerts,
  openAlerts,
  settleAlerts,
  settleEndedLives,
  silenceAlert,
} from '../../src/registry/alerts.js';
import { appendAudit } from '../../src/registry/audit.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import { installationReport, tenantReports } from '../../src/registry/healthReports.js';
import { endLives } from '../../src/registry/retention.js';
import { getTenant, setTenantState } from '../../src/registry/tenants.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { type Life, type TestRegistry, atOnce, makeTenant, startTestRegistry } from '../support/registry.js';

const NOBODY = 'http://127.0.0.1:9';

let registry: TestRegistry;
let pool: Pool;
beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
});
afterAll(() => registry?.stop());

const wrong = (severity: Finding['severity'] = 'warning'): CheckResults<string> => ({
  schemas: { state: 'checked', findings: [{ subject: 's', severity, message: 's is missing', fix: 'mend' }] },
});
const well: CheckResults<string> = { schemas: { state: 'checked', findings: [] } };
const openOf = (life: Life) => openAlerts(pool, { lives: [life.incarnation] });

/** Delivers everything that is due to a webhook that takes it, or does not. */
async function deliver(takes = true) {
  const sent: { key: string; event: string; alert: unknown }[] = [];
  const webhook = {
    async send(key: string, notice: { event: string }) {
      if (!takes) throw new Error('HTTP 503');
      sent.push({ key, event: notice.event, alert: (notice as unknown as { alert: string }).alert });
    },
  };
  const logged: string[] = [];
  const result = await deliverAlerts({
    ...{ pool, webhook, log: ({ event }, failure) => void logged.push(failure ?? event) },
  });
  return { sent, logged, ...result };
}
/** As if the time until the next try had gone by. */
const later = () =>
  pool.query(`update alert_events set next_try_at = now() - interval '1 s' where state = 'pending'`);

describe('alerts', () => {
  test('one thing has one alert, however many look at once; cured it is resolved, and later is another one', async () => {
    const life = await makeTenant(pool);
    const settled = await atOnce(20, () => settleAlerts(pool, life, wrong()));
    expect(settled.filter((each) => !(each instanceof Error) && each.opened === 1)).toHaveLength(1);
    const [first, ...others] = await openOf(life);
    expect(others).toEqual([]);
    await settleAlerts(pool, life, well);
    expect(await openOf(life)).toEqual([]);
    await settleAlerts(pool, life, wrong());
    const [second] = await openOf(life);
    expect(second!.id).not.toBe(first!.id);
    expect((await tenantMetrics(pool)).text).toContain('cvops_alerts_open{severity="warning"} 1\n');
    // What was over long ago is not kept for ever; what is open is.
    await pool.query(`update alerts set opened_at = now() - interval '1 year'`);
    await pool.query(`update alerts set resolved_at = now() - interval '91 days' where id = $1`, [first!.id]);
    await forgetResolved(pool);
    const kept = await listAlerts(pool, { tenant: life.tenant, limit: 10 });
    expect(kept.map(({ id }) => id)).toEqual([second!.id]);
    await settleAlerts(pool, life, well);
    await deliver();
  });

  test('of a life that ended are resolved', async () => {
    const life = await makeTenant(pool);
    await settleAlerts(pool, life, wrong());
    expect(await settleEndedLives(pool)).toBe(0);
    await setTenantState(pool, life.incarnation, ['active'], 'purging');
    await endLives(pool, [life.incarnation]);
    expect(await settleEndedLives(pool)).toBe(1);
    expect(await openOf(life)).toEqual([]);
  });
});

describe('telling of them', () => {
  test('each event once: a second look at the same thing tells nothing', async () => {
    const life = await makeTenant(pool);
    await settleAlerts(pool, life, wrong());
    const [alert] = await openOf(life);
    expect((await deliver()).sent).toMatchObject([{ event: 'alert-opened', alert: alert!.id }]);
    await settleAlerts(pool, life, wrong());
    expect((await deliver()).sent).toEqual([]);
    await settleAlerts(pool, life, wrong('critical'));
    await settleAlerts(pool, life, well);
    const { sent, pending } = await deliver();
    // It was over before anybody was told that it had become worse.
    expect(sent.map(({ event }) => event)).toEqual(['alert-resolved']);
    expect(pending).toBe(0);
  });

  test('a worker that is killed after the telling tells again, under the same key', async () => {
    const life = await makeTenant(pool);
    await settleAlerts(pool, life, wrong());
    const claimed = await claimEvent(pool);
    // Killed here. While it may be alive nobody else takes it.
    expect((await deliver()).sent).toEqual([]);
    await later();
    const { sent } = await deliver();
    expect(sent.map(({ key }) => key)).toEqual([claimed!.id]);
    // The one that was thought dead ends: nothing comes of it.
    await endEvent(pool, claimed!.id, 'sent');
    await later();
    expect((await deliver()).sent).toEqual([]);
    await settleAlerts(pool, life, well);
    await deliver();
  });

  test('what is not taken is tried again, in order; what is over before it was tried is never told', async () => {
    const [tried, untold] = [await makeTenant(pool), await makeTenant(pool)];
    await settleAlerts(pool, tried, wrong());
    const failed = await deliver(false);
    expect(failed).toMatchObject({ sent: [], logged: ['HTTP 503'], pending: 1 });
    expect(failed.dueInSeconds).toBeGreaterThan(0);
    await settleAlerts(pool, untold, wrong());
    await settleAlerts(pool, untold, well);
    await settleAlerts(pool, tried, well);
    await later();
    // It may have arrived: so that it opened and that it is over are both told, in this order.
    expect((await deliver()).sent.map(({ event }) => event)).toEqual(['alert-opened', 'alert-resolved']);
  });

  test('of a silenced one nobody is told before its time is over, and it does not count', async () => {
    const life = await makeTenant(pool);
    await settleAlerts(pool, life, wrong());
    const before = await countOpenAlerts(pool);
    const [alert] = await openOf(life);
    await silenceAlert(pool, alert!.id, 3600);
    expect((await deliver()).sent).toEqual([]);
    expect((await countOpenAlerts(pool)).warning).toBe(before.warning - 1);
    expect((await openOf(life))[0]!.silencedUntil).not.toBeNull();
    await pool.query(`update alerts set silenced_until = now() where id = $1`, [alert!.id]);
    expect((await deliver()).sent.map(({ event }) => event)).toEqual(['alert-opened']);
    await settleAlerts(pool, life, well);
    await deliver();
  });

  test('without a webhook the log is told, and nothing waits for one to come', async () => {
    const life = await makeTenant(pool);
    await settleAlerts(pool, life, wrong());
    const logged: string[] = [];
    const log = ({ event }: { event: string }) => void logged.push(event);
    expect(await deliverAlerts({ pool, webhook: undefined, log })).toMatchObject({ told: 1, pending: 0 });
    expect(logged).toEqual(['opened']);
    expect((await deliver()).sent).toEqual([]);
    await settleAlerts(pool, life, well);
    await deliver();
  });
});

describe('looks', () => {
  const resources = (): HealthResources => ({
    ...{ pool, vespaUrl: NOBODY, allowedPrivate: [] },
    rules: { places: [], own: { variables: [], files: [] } },
    configServer: new ConfigServer(NOBODY),
    documents: new DocumentClient(NOBODY),
    phoenix: new PhoenixClient(NOBODY),
    temporal: () => Promise.reject(new OpsError('Unavailable', 'no Temporal')),
  });

  test('servers that are away are one alert each, and no tenant’s: what needs them is unknown', async () => {
    const lives = [await makeTenant(pool), await makeTenant(pool), await makeTenant(pool)];
    await sweepInstallation(resources());
    await sweepTenants(resources(), '');
    const shared = await openAlerts(pool, { lives: [null] });
    expect(shared.map(({ check, severity }) => [check, severity]).toSorted()).toEqual([
      ['phoenix', 'critical'],
      ['temporal', 'critical'],
      ['vespa', 'critical'],
    ]);
    const lifeIds = lives.map(({ incarnation }) => incarnation);
    const reports = await tenantReports(pool, lifeIds);
    for (const { checks } of reports.values()) {
      for (const check of ['schemas', 'memory', 'phoenix', 'backups', 'operations', 'schedules'])
        expect([check, checks[check]?.state]).toEqual([check, 'unknown']);
      // It is in the registry, which answers.
      expect(checks['config']?.state).toBe('critical');
    }
    const checks = (await openAlerts(pool, { lives: lifeIds })).map(({ check }) => check);
    expect([...new Set(checks)]).toEqual(['config']);
    expect((await installationReport(pool))!.checks['package']?.state).toBe('unknown');
  });

  test('an audit log that is changed after it was found whole is told', async () => {
    const entry = { principal: 'p', verb: 'v', tenant: '-', outcome: 'completed', reason: '' } as const;
    await transaction(pool, (tx) => appendAudit(tx, entry));
    await sweepInstallation(resources());
    const noted = (await installationReport(pool))!.audited!;
    await transaction(pool, (tx) => appendAudit(tx, entry));
    await sweepInstallation(resources());
    expect((await installationReport(pool))!.audited!.seq).toBe(noted.seq + 1);
    // What only the owner of the table can do: cut the last entry off, and write another.
    await pool.query('alter table audit_log disable trigger audit_log_append_only');
    await pool.query('delete from audit_log where seq = $1', [noted.seq + 1]);
    await pool.query('alter table audit_log enable trigger audit_log_append_only');
    await transaction(pool, (tx) => appendAudit(tx, { ...entry, verb: 'another' }));
    await sweepInstallation(resources());
    const [alert] = (await openAlerts(pool, { lives: [null] })).filter(({ check }) => check === 'audit');
    expect(alert).toMatchObject({ severity: 'critical', fix: 'cvops audit verify' });
    // Where it was whole stays noted: the next look finds the same.
    expect((await installationReport(pool))!.audited!.seq).toBe(noted.seq + 1);
  });

  test('quotas are told of from 90 % on, in the units that were set', async () => {
    const life = await makeTenant(pool);
    const changes = ['videos=100', 'documents=100', 'storage_mb=5'].map(parseQuotaChange);
    await setQuotas(pool, life, { changes }, { principal: 'test', reason: '' });
    await pool.query(
      `insert into quota_usage (incarnation, resource, used)
       values ($1, 'videos', 89), ($1, 'documents', 90), ($1, 'storage_mb', 5000000), ($1, 'memories', 7)`,
      [life.incarnation],
    );
    const row = await getTenant(pool, life.tenant);
    const findings = await quotasCheck.run({ resources: resources(), row } as Parameters<Check['run']>[0]);
    expect(findings.map(({ subject, message }) => [subject, message])).toEqual([
      ['storage_mb', 'quota storage_mb is used up: 5 of 5'],
      ['documents', 'quota documents is nearly used up: 90 of 100'],
    ]);
  });
});
