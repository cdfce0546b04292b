import { Gauge, Registry } from 'prom-client';
import { countOpenAlerts } from '../registry/alerts.js';
import { type BackupTimes, backupTimes } from '../registry/backupTimes.js';
import type { Queryable } from '../registry/database.js';

const GAUGES = {
  cvops_last_backup_timestamp_seconds: {
    help: 'When the newest complete backup of the tenant began. 0: there is none',
    of: 'backedUpAt',
  },
  cvops_last_verified_backup_timestamp_seconds: {
    help: 'When a complete backup of the tenant was last read whole and found sound. 0: never',
    of: 'verifiedAt',
  },
  cvops_last_proven_restore_timestamp_seconds: {
    help: 'When a backup of the tenant was last restored into a throw-away tenant and found equal. 0: never',
    of: 'provenAt',
  },
} as const satisfies Record<string, { help: string; of: keyof BackupTimes }>;

/**
 * The tenants' gauges, and how many alerts are open, in the Prometheus text format, read from the registry now: a tenant that is purged is not among
 * them, and nothing is lost with a worker.
 */
export async function tenantMetrics(
  db: Queryable,
): Promise<{ readonly text: string; readonly contentType: string }> {
  const tenants = await backupTimes(db);
  // One for each scrape: two at once share nothing, and no tenant's value outlives it.
  const registry = new Registry();
  for (const [name, { help, of }] of Object.entries(GAUGES)) {
    const gauge = new Gauge({ name, help, labelNames: ['tenant'], registers: [registry] });
    for (const times of tenants) {
      const at = times[of];
      gauge.set({ tenant: times.tenant }, at === null ? 0 : Date.parse(at) / 1000);
    }
  }
  const alerts = new Gauge({
    name: 'cvops_alerts_open',
    help: 'Alerts that are open and not silenced, of tenants and of the installation',
    labelNames: ['severity'],
    registers: [registry],
  });
  for (const [severity, count] of Object.entries(await countOpenAlerts(db))) alerts.set({ severity }, count);
  return { text: await registry.metrics(), contentType: registry.contentType };
}
