import type { Client } from '@temporalio/client';
import { ROUTING_CONFIG, SYSTEM_CONFIG } from '../domain/config/keys.js';
import { OpsError } from '../domain/errors.js';
import type { Repair } from '../domain/health/checks.js';
import { DEFAULT_TEMPLATE } from '../domain/templates.js';
import { endLost } from '../operations/endLost.js';
import { isAwaited, isOver } from '../operations/lost.js';
import { startRetention } from '../operations/reconcile.js';
import { ensureProject } from '../phoenix/projects.js';
import { type ConfigValue, getConfig } from '../registry/config.js';
import { audited } from '../registry/operationLog.js';
import { runningOperations } from '../registry/operations.js';
import { findTemplate } from '../registry/templates.js';
import type { TenantRow } from '../registry/tenants.js';
import { writeConfig } from '../tenants/config.js';
import { type VespaAddresses, initialRoutingConfig, initialSystemConfig } from '../tenants/initialConfig.js';
import { applyTraceRetention } from '../tenants/traceRetention.js';
import { lostOf } from './lost.js';
import type { HealthResources } from './resources.js';

export interface RepairOptions {
  readonly resources: HealthResources;
  readonly addresses: VespaAddresses;
  readonly cluster: string;
  readonly principal: string;
  readonly reason: string;
}

/** What a repair does, in words. */
export const REPAIRS: Readonly<Record<Repair, string>> = {
  'deploy-schemas': 'deploy its schemas again',
  'write-config': 'write the configuration that is missing, as a new tenant of its template has it',
  'make-project': 'make its Phoenix project, with its trace retention',
  'start-retention': 'start the wait for the end of its retention',
  'end-operations': 'end as failed the operations whose workflow is gone, and release what they held',
};

/** Those that are done here; a deploy is an operation of its own. Each may run twice. @throws OpsError, Error */
export async function repair(
  what: Exclude<Repair, 'deploy-schemas'>,
  row: TenantRow,
  options: RepairOptions,
): Promise<void> {
  switch (what) {
    case 'write-config':
      return writeMissing(row, options);
    case 'make-project':
      return makeProject(row, options);
    case 'start-retention':
      return waitAgain(row, options, await options.resources.temporal());
    case 'end-operations':
      return endLostOnes(row, options, await options.resources.temporal());
  }
}

async function writeMissing(
  { tenant, incarnation, template, memoryEnabled }: TenantRow,
  { resources: { pool, allowedPrivate }, addresses, principal, reason }: RepairOptions,
): Promise<void> {
  // An operator's template may have been removed since.
  const found = (await findTemplate(pool, template)) ?? (await findTemplate(pool, DEFAULT_TEMPLATE))!;
  const values = { ...found.values, memory_enabled: memoryEnabled };
  const write = async (key: typeof SYSTEM_CONFIG | typeof ROUTING_CONFIG, value: object) => {
    if ((await getConfig(pool, { ...key, incarnation })) !== undefined) return;
    await writeConfig(pool, {
      at: { ...key, tenant },
      what: { kind: 'value', value: value as ConfigValue },
      // Somebody else's is not overwritten.
      expectVersion: 0,
      ...{ principal, reason, allowedPrivate },
    });
  };
  await write(SYSTEM_CONFIG, initialSystemConfig(tenant, values, addresses));
  await write(ROUTING_CONFIG, initialRoutingConfig(values));
}

async function makeProject(row: TenantRow, options: RepairOptions): Promise<void> {
  const { pool, phoenix } = options.resources;
  await audited(pool, entryOf(row, options, { made: row.phoenixProject }), async () => {
    await ensureProject(phoenix, row.phoenixProject, `Traces of tenant ${row.tenant}`);
    await applyTraceRetention(pool, phoenix, row);
  });
}

async function waitAgain(row: TenantRow, options: RepairOptions, client: Client): Promise<void> {
  if (row.state !== 'inactive')
    throw new OpsError('WrongState', `tenant ${row.tenant} is ${row.state}: it has no retention`);
  await audited(options.resources.pool, entryOf(row, options, { started: 'softDeleteTenant' }), () =>
    startRetention(client, options.cluster, row),
  );
}

async function endLostOnes(row: TenantRow, options: RepairOptions, client: Client): Promise<void> {
  const { resources, principal, reason } = options;
  const { pool, configServer } = resources;
  const running = await runningOperations(pool, row.incarnation);
  // A retention or a purge is begun again, not ended.
  const ended = running.filter((one) => one.kind === 'createTenant' || !isAwaited(one, row.state));
  for (const loss of await lostOf(client, ended))
    if (isOver(loss, Date.now()))
      await endLost({ pool, client, configServer, by: { principal, reason } }, loss.row);
}

function entryOf(
  { tenant }: TenantRow,
  { principal, reason }: RepairOptions,
  detail: Readonly<Record<string, unknown>>,
) {
  return { principal, verb: 'repair', tenant, reason, detail };
}
