import type { RestorePlan, RestoreTenantInput } from '../../contracts/backupOperations.js';
import { createTenantInput, type CreateTenantInput } from '../../contracts/tenants.js';
import { checkInput } from '../../contracts/common.js';
import { SYSTEM_CONFIG } from '../../domain/config/keys.js';
import { OpsError } from '../../domain/errors.js';
import type { Incarnation, OperationId } from '../../domain/ids.js';
import { MEMORY_SCHEMA, type BaseSchema } from '../../domain/profiles.js';
import { type OperationKind, requireState } from '../../domain/states.js';
import { TEMPLATE_FIELDS } from '../../domain/templates.js';
import type { StockAmounts } from '../../domain/quotas.js';
import { requireRoomFor } from '../../quotas/refused.js';
import { RETENTION_KINDS } from '../../operations/stop.js';
import type { Queryable } from '../../registry/database.js';
import { findOperation, runningOperations } from '../../registry/operations.js';
import { schemasOf } from '../../registry/schemas.js';
import { type TenantLife, type TenantRow, findTenant, requireTenant } from '../../registry/tenants.js';
import { readPackage } from '../../vespa/activePackage.js';
import { countAllSpans } from '../traces/export.js';
import type { TracesCall } from '../traces/retrying.js';
import { totalsOf } from '../finish.js';
import type { BackupResources } from '../writer.js';
import { type RestoreSource, readConfig } from './source.js';

export interface Decision {
  readonly plan: RestorePlan;
  /** The life to restore into: there already, or to be made. */
  readonly incarnation: Incarnation;
  readonly create: CreateTenantInput | null;
  readonly bases: readonly BaseSchema[];
  /** Whether the tenant is to be open afterwards. */
  readonly opens: boolean;
  /** The life is made for a restore, and none has ended well in it: it has no history of its own. */
  readonly fresh: boolean;
}

/**
 * What a restore has to do, by what there is of the tenant now. Changes nothing.
 *
 * @throws OpsError `WrongState` when the tenant is in no state for it, or holds what would be lost without `replace`;
 *   `QuotaExceeded` when the backup holds more than the tenant may have
 */
export async function planRestore(
  resources: BackupResources,
  input: RestoreTenantInput,
  source: RestoreSource,
  call: TracesCall,
): Promise<Decision> {
  const { pool } = resources;
  const { tenant, backup } = input;
  const there = await findTenant(pool, tenant);
  const alive = there !== undefined && there.state !== 'purged' && there.state !== 'creation_failed';
  const loses = alive ? await lossesOf(resources, there, call) : { documents: 0, spans: 0 };
  const { manifest } = source;
  const incarnation = alive ? there.incarnation : input.incarnation;
  const plan = {
    tenant,
    backup,
    from: manifest.tenant,
    renames: manifest.tenant !== tenant || manifest.incarnation !== incarnation,
    schemas: manifest.schemas.map(({ base }) => base),
    ...totalsOf(manifest),
    configVersions: manifest.config.versions,
    loses,
  };
  const bases = manifest.schemas.map(({ base }) => base);
  if (!alive) {
    if (there) requireState('create', tenant, there.state, there.purgeAt);
    return {
      plan: { ...plan, how: 'create' },
      ...{ incarnation, bases, opens: true, fresh: true },
      create: await creation(input, source),
    };
  }
  await requireTenant(pool, tenant, 'restoreOver');
  await requireQuiet(pool, there, input.operation);
  await requireRoomFor(pool, there, amountsOf(source));
  const unfinished = there.unfinishedRestore;
  const holds = loses.documents > 0 || loses.spans > 0;
  if (holds && !input.replace && !input.preview && unfinished === null)
    throw new OpsError(
      'WrongState',
      `tenant ${tenant} holds ${loses.documents} documents and ${loses.spans} spans, which would be lost`,
      'restore over them with --replace, or into another tenant with --into',
    );
  const former = unfinished === null ? undefined : await findOperation(pool, unfinished);
  return {
    plan: { ...plan, how: holds ? 'replace' : 'fill' },
    ...{ incarnation, bases, create: null },
    // As the unfinished restore began; else as it is now.
    opens: former ? former.input['opens'] === true : there.state === 'active',
    fresh: former?.input['fresh'] === true,
  };
}

/** What the tenant will have: all that it has now goes. */
function amountsOf({ manifest }: RestoreSource): StockAmounts {
  const count = (memory: boolean) =>
    manifest.schemas
      .filter(({ base }) => (base === MEMORY_SCHEMA) === memory)
      .reduce((sum, { documents }) => sum + documents, 0);
  return { videos: manifest.videos.count, documents: count(false), memories: count(true) };
}

async function lossesOf(
  { pool, documents, configServer, phoenix }: BackupResources,
  { incarnation, phoenixProject }: TenantRow,
  call: TracesCall,
): Promise<RestorePlan['loses']> {
  const { contentCluster, mapped } = await readPackage(configServer);
  let count = 0;
  for (const { schemaName } of await schemasOf(pool, incarnation))
    if (mapped.has(schemaName)) count += await documents.count(schemaName, contentCluster, call.signal);
  return { documents: count, spans: (await countAllSpans(phoenix, phoenixProject, call)) ?? 0 };
}

/** Operations that neither read nor change what a tenant holds. */
const BESIDE: readonly OperationKind[] = [...RETENTION_KINDS, 'verifyBackup', 'drillRestore', 'pruneBackups'];

/** @throws OpsError `WrongState` while another operation works on the life */
export async function requireQuiet(
  db: Queryable,
  { tenant, incarnation }: TenantLife,
  own: OperationId,
): Promise<void> {
  const [other] = (await runningOperations(db, incarnation)).filter(
    ({ operation, kind }) => operation !== own && !BESIDE.includes(kind),
  );
  if (other)
    throw new OpsError(
      'WrongState',
      `${other.kind} ${other.operation} of tenant ${tenant} is under way`,
      `let it end, or end it with: cvops op cancel ${other.operation}`,
    );
}

/** The tenant as it is to be made before anything is put into it. */
async function creation(input: RestoreTenantInput, source: RestoreSource): Promise<CreateTenantInput> {
  const { manifest } = source;
  const { scope, service, key } = SYSTEM_CONFIG;
  const versions = await readConfig(source);
  const system = versions.findLast((v) => v.scope === scope && v.service === service && v.key === key);
  const bases = manifest.schemas.map(({ base }) => base);
  const values = Object.fromEntries(
    Object.keys(TEMPLATE_FIELDS).flatMap((name) =>
      system?.value[name] === undefined ? [] : [[name, system.value[name]]],
    ),
  );
  const own = manifest.tenant === input.tenant;
  return checkInput(createTenantInput, {
    tenant: input.tenant,
    incarnation: input.incarnation,
    operation: input.operation,
    template: manifest.template,
    values: { ...values, memory_enabled: bases.includes(MEMORY_SCHEMA) },
    profiles: bases.filter((base) => base !== MEMORY_SCHEMA),
    cluster: input.cluster,
    restore: input.operation,
    // The name goes back to whose it was.
    ...(own || input.overrideQuarantine ? { overrideQuarantine: true } : {}),
    principal: input.principal,
    reason: input.reason || `restore of backup ${input.backup}`,
  });
}
