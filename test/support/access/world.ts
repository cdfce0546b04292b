import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import type { CvopsClient } from '../../../src/client/index.js';
import type { TenantId } from '../../../src/domain/ids.js';
import { settleAlerts } from '../../../src/registry/alerts.js';
import type { Pool } from '../../../src/registry/database.js';
import { getTenant } from '../../../src/registry/tenants.js';
import { ACCESS_FILES } from '../../../src/settings.js';
import { temporaryFolder } from '../videos.js';
import type { Things } from './tries.js';

/** Names of one tenant's things; those that are made later are filled in then. */
export async function thingsOf(tenant: TenantId, isolatedFrom: TenantId, erased = tenant): Promise<Things> {
  // Where the workers read files for this tenant's principals.
  const folder = path.join(inject('stack').home, 'places', tenant);
  await mkdir(path.join(folder, 'empty'), { recursive: true });
  await mkdir(path.join(folder, 'videos'));
  await writeFile(path.join(folder, 'videos', 'text.mp4'), 'These are words, and no video.\n');
  const nobodys = randomUUID();
  return {
    ...{ tenant, erased, pair: [tenant, isolatedFrom], folder, name: `t${nobodys.slice(0, 8)}` },
    ...{ backup: '20261101T120000Z-0123abcd', operation: nobodys, ingest: nobodys, drill: nobodys },
    ...{ memory: nobodys, alert: '', token: nobodys },
  };
}

/** Opens an alert about a tenant, which no look at it resolves. @returns its id */
export async function openAlert(pool: Pool, tenant: TenantId): Promise<string> {
  const { incarnation } = await getTenant(pool, tenant);
  const finding = { subject: 'x', severity: 'info', message: 'made by a test', fix: 'cvops health' } as const;
  await settleAlerts(
    pool,
    { tenant, incarnation },
    { madeByTest: { state: 'checked', findings: [finding] } },
  );
  const { rows } = await pool.query<{ id: string }>(
    `select id from alerts where incarnation = $1 and check_name = 'madeByTest'`,
    [incarnation],
  );
  return rows[0]!.id;
}

/** The stack's access keys, copied: a rotation of those would be one for every other test. */
export async function copiedKeys(): Promise<Readonly<Record<string, string>>> {
  const folder = await temporaryFolder();
  const copy = async (name: string): Promise<string> => {
    const to = path.join(folder, name);
    await copyFile(path.join(inject('stack').home, 'keys', name), to);
    return `file:${to}`;
  };
  return {
    CVOPS_ACCESS_KEYS: await copy(ACCESS_FILES.keys),
    CVOPS_ACCESS_SIGNING_KEY: await copy(ACCESS_FILES.signingKey),
  };
}

/** Everything of a tenant that a stranger could have changed. */
export async function everythingOf(pool: Pool, admin: CvopsClient, tenant: TenantId) {
  return {
    row: await getTenant(pool, tenant),
    shown: await admin.showTenant(tenant),
    schemas: await admin.schemas.verify(tenant),
    backups: await admin.backupKeeping.list(tenant, { removed: true }),
    alerts: await admin.alerts.list(tenant, { resolved: true, limit: 100 }),
    approvals: await admin.approvals.list(tenant, { all: true, limit: 100 }),
    watches: await admin.watches.list(tenant),
    schedules: await admin.memorySchedules.list(tenant),
  };
}
