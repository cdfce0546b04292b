import { randomUUID } from 'node:crypto';
import { checkInput } from '../contracts/common.js';
import { type SearchInput, type SearchResult, searchInput } from '../contracts/search.js';
import { type CreateTenantInput, type CreateTenantResult, createTenantInput } from '../contracts/tenants.js';
import { OpsError } from '../domain/errors.js';
import { type OperationId, type TenantId, parseIncarnation, parseOperationId } from '../domain/ids.js';
import { phoenixProjectName, tenantSchemaName, workflowIds } from '../domain/naming.js';
import { type BaseSchema, MEMORY_SCHEMA, type ProfileName } from '../domain/profiles.js';
import { type TenantState, requireState } from '../domain/states.js';
import { type TemplateValues, applyOverrides } from '../domain/templates.js';
import { type ConfigVersion, currentConfig } from '../registry/config.js';
import { endLost, requireLost } from '../operations/endLost.js';
import { lossOf } from '../operations/lost.js';
import { RETENTION_KINDS } from '../operations/stop.js';
import { TenantRates } from '../limits/rate.js';
import type { Pool } from '../registry/database.js';
import { countItems, failedItems } from '../registry/ledger.js';
import { type OperationRow, listOperations } from '../registry/operations.js';
import { type SchemaRow, allSchemas, schemasOf } from '../registry/schemas.js';
import { resolveTemplate } from '../registry/templates.js';
import { type TenantRow, everyTenant, findTenant, getTenant } from '../registry/tenants.js';
import { openDocuments } from '../vespa/access.js';
import { type SearchResources, searchTenant } from '../search/searchTenant.js';
import { requireFreeName } from '../tenants/quarantine.js';
import { ConfigServer } from '../vespa/configServer.js';
import type { Settings } from '../settings.js';
import { AlertClient } from './alerts.js';
import { ApprovalClient } from './approvals.js';
import { BackupClient } from './backups.js';
import { backupTimes } from '../registry/backupTimes.js';
import { AuditClient } from './audit.js';
import { BackupKeepingClient } from './backupKeeping.js';
import { BackupScheduleClient } from './backupSchedules.js';
import { ConfigClient, TemplateClient } from './config.js';
import { Connections } from './connections.js';
import { HealthClient } from './health.js';
import { IngestClient } from './ingest.js';
import { IsolationClient } from './isolation.js';
import { LifeClient } from './life.js';
import { MemoryClient } from './memory.js';
import { MemoryScheduleClient } from './memorySchedules.js';
import { MetricsClient } from './metrics.js';
import { OperationHandle } from './operations.js';
import { hasEnded, ownOperation } from './ownOperation.js';
import { OptimizationClient } from './optimization.js';
import { RoutingClient } from './routing.js';
import { type Quotas, QuotaClient, quotasOf } from './quotas.js';
import { SchemaClient } from './schemas.js';
import { TokenClient } from './tokens.js';
import { WatchClient } from './watches.js';

export type { IngestAgainRequest, IngestRequest } from './ingest.js';
export { OperationHandle } from './operations.js';

export interface CreateTenantRequest {
  readonly tenant: TenantId;
  readonly template: string;
  readonly overrides: Readonly<Record<string, string>>;
  readonly profiles: readonly ProfileName[];
  /** Take the name of a tenant that was purged a short while ago. */
  readonly overrideQuarantine?: boolean | undefined;
  readonly reason: string;
}

/** A tenant as `tenant list` shows it. */
export interface TenantSummary {
  readonly tenant: TenantId;
  readonly incarnation: string;
  readonly state: TenantState;
  readonly template: string;
  readonly schemas: readonly string[];
  readonly phoenixProject: string;
  readonly createdAt: string;
  readonly deactivatedAt: string | null;
  readonly purgeAt: string | null;
  readonly purgedAt: string | null;
  readonly quarantineUntil: string | null;
}

/** What a cancellation would come to. */
export interface CancelPlan extends Pick<OperationRow, 'operation' | 'kind' | 'tenant' | 'counts'> {
  /** Its workflow is gone: it would be ended here, and not asked to stop. */
  readonly ended: boolean;
}

/**
 * The typed client: starts operations, follows them, and answers what needs no workflow. Connections open at their first
 * use, so that `tenant list` works while Temporal is down.
 */
export class CvopsClient {
  readonly config: ConfigClient;
  readonly templates: TemplateClient;
  readonly life: LifeClient;
  readonly schemas: SchemaClient;
  readonly ingest: IngestClient;
  readonly isolation: IsolationClient;
  readonly watches: WatchClient;
  readonly backups: BackupClient;
  readonly backupKeeping: BackupKeepingClient;
  readonly backupSchedules: BackupScheduleClient;
  readonly optimization: OptimizationClient;
  readonly routing: RoutingClient;
  readonly memory: MemoryClient;
  readonly memorySchedules: MemoryScheduleClient;
  readonly metrics: MetricsClient;
  readonly tokens: TokenClient;
  readonly health: HealthClient;
  readonly alerts: AlertClient;
  readonly approvals: ApprovalClient;
  readonly quotas: QuotaClient;
  readonly audit: AuditClient;
  private readonly settings: Settings;
  private readonly pool: Pool;
  private searching: Promise<SearchResources> | undefined;

  private constructor(private readonly connections: Connections) {
    const { pool, settings } = connections;
    this.settings = settings;
    this.pool = pool;
    this.config = new ConfigClient(connections);
    this.templates = new TemplateClient(connections);
    this.life = new LifeClient(connections);
    this.schemas = new SchemaClient(connections);
    this.ingest = new IngestClient(connections);
    this.isolation = new IsolationClient(connections);
    this.watches = new WatchClient(connections);
    this.backups = new BackupClient(connections);
    this.backupKeeping = new BackupKeepingClient(connections);
    this.backupSchedules = new BackupScheduleClient(connections);
    this.optimization = new OptimizationClient(connections);
    this.routing = new RoutingClient(connections);
    this.memory = new MemoryClient(connections);
    this.memorySchedules = new MemoryScheduleClient(connections);
    this.metrics = new MetricsClient(connections);
    this.tokens = new TokenClient(connections);
    this.health = new HealthClient(connections);
    this.alerts = new AlertClient(connections);
    this.approvals = new ApprovalClient(connections);
    this.quotas = new QuotaClient(connections);
    this.audit = new AuditClient(connections);
  }

  /** @throws OpsError `Unavailable` when the registry does not answer */
  static async connect(settings: Settings): Promise<CvopsClient> {
    return new CvopsClient(await Connections.open(settings));
  }

  /** As whoever has the signing key, who needs no token to issue one. @throws OpsError as {@link connect} */
  static async connectAsIssuer(settings: Settings): Promise<CvopsClient> {
    return new CvopsClient(await Connections.openAsIssuer(settings));
  }

  async close(): Promise<void> {
    await this.connections.close();
  }

  /** What `createTenant` would make. @throws OpsError as the creation would at its start */
  async planTenant(request: CreateTenantRequest): Promise<object> {
    await this.connections.authorize('tenant create', request.tenant);
    await this.refuseExisting(request);
    const config = await this.valuesOf(request);
    const bases = new Set<BaseSchema>(request.profiles);
    if (config.memory_enabled) bases.add(MEMORY_SCHEMA);
    return {
      tenant: request.tenant,
      template: request.template,
      config,
      schemas: [...bases].map((base) => tenantSchemaName(base, request.tenant)),
      phoenixProject: phoenixProjectName(request.tenant),
    };
  }

  /** @throws OpsError `InvalidInput`, `WrongState` when the tenant exists, `Conflict` when it is being created */
  async createTenant(request: CreateTenantRequest): Promise<OperationHandle<CreateTenantResult>> {
    await this.connections.authorize('tenant create', request.tenant);
    const operation = parseOperationId(randomUUID());
    const { tenant, template, profiles, reason } = request;
    const values = await this.valuesOf(request);
    await this.refuseExisting(request);
    const input: CreateTenantInput = checkInput(createTenantInput, {
      tenant,
      template,
      values,
      profiles,
      reason,
      ...(request.overrideQuarantine ? { overrideQuarantine: true } : {}),
      ...(values.optimization_enabled ? { scheduleOptimization: true } : {}),
      operation,
      incarnation: parseIncarnation(randomUUID()),
      cluster: this.settings.vespaCluster,
      principal: this.connections.principal,
    });
    return this.connections.start(
      {
        kind: 'createTenant',
        workflowId: workflowIds.createTenant(tenant),
        tenant,
        operation,
        reason,
        summary: `create tenant ${tenant}`,
        priority: 2,
      },
      input,
    );
  }

  /** @throws OpsError `NotFound`, `WrongState`, `InvalidInput`, `QuotaExceeded`, `Unavailable` */
  async search(raw: SearchInput): Promise<SearchResult> {
    const input = checkInput(searchInput, raw);
    await this.connections.authorize('search', input.tenant);
    this.searching ??= this.openSearch().catch((error: unknown) => {
      this.searching = undefined;
      throw error;
    });
    return searchTenant(await this.searching, input);
  }

  private async openSearch(): Promise<SearchResources> {
    // Here, as few commands search, and what these bring with them would be an eighth of every one's start.
    const { encoderOf } = await import('../encoders/port.js');
    const documents = await openDocuments(this.settings);
    const encoder = encoderOf(this.settings);
    for (const part of [documents, encoder]) this.connections.onClose(() => part.close());
    const rates = new TenantRates(this.pool);
    return { pool: this.pool, documents, encoder, tracing: this.connections.telemetry, rates };
  }

  async listTenants(state?: TenantState): Promise<TenantSummary[]> {
    await this.connections.authorize('tenant list');
    const { principalTenant: own } = this.connections;
    const [schemas, all] = [await allSchemas(this.pool), await everyTenant(this.pool, state)];
    const tenants = own === undefined ? all : all.filter(({ tenant }) => tenant === own);
    const owned = Map.groupBy(schemas, ({ incarnation }) => incarnation);
    return tenants.map((row) => summary(row, owned.get(row.incarnation) ?? []));
  }

  /** @throws OpsError `NotFound` */
  async showTenant(tenant: TenantId): Promise<
    TenantSummary & {
      config: ConfigVersion[];
      operations: OperationRow[];
      quotas: Quotas['quotas'];
      /** When a backup of this life was last restored into a throw-away tenant and found equal, ISO 8601; null: never. */
      lastProvenRestore: string | null;
    }
  > {
    await this.connections.authorize('tenant show', tenant);
    const row = await getTenant(this.pool, tenant);
    const [schemas, config, operations, [times], { quotas }] = await Promise.all([
      schemasOf(this.pool, row.incarnation),
      currentConfig(this.pool, row.incarnation),
      listOperations(this.pool, { tenant, limit: 10 }),
      backupTimes(this.pool, row.incarnation),
      quotasOf(this.pool, row),
    ]);
    return {
      ...summary(row, schemas),
      lastProvenRestore: times?.provenAt ?? null,
      config,
      quotas,
      operations,
    };
  }

  /** Newest first. */
  async listOperations(
    tenant: TenantId | undefined,
    limit: number,
  ): Promise<(OperationRow & { ui: string })[]> {
    const of = await this.connections.authorizeList('op list', tenant);
    return (await listOperations(this.pool, { tenant: of, limit })).map((row) => this.withUi(row));
  }

  /** @throws OpsError `NotFound` */
  async showOperation(operation: OperationId): Promise<
    OperationRow & {
      ui: string;
      /** What did not succeed: videos of an ingest, tenants of a rollout. */
      failures: ({ video: string; reason: string } | { tenant: string; reason: string })[];
    }
  > {
    const row = await ownOperation(this.connections, 'op show', operation);
    const failures =
      row.kind === 'deploySchemas'
        ? await this.schemas.failures(operation)
        : await failedItems(this.pool, operation, 1000);
    return { ...this.withUi(row), failures };
  }

  async operationHandle(operation: OperationId): Promise<OperationHandle<unknown>> {
    const row = await ownOperation(this.connections, 'op watch', operation);
    const client = await this.connections.temporal();
    return new OperationHandle(operation, client.workflow.getHandle(row.workflowId), this.withUi(row).ui);
  }

  /**
   * Asks it to stop; one whose workflow is gone is ended here, and what it held released.
   *
   * @returns whether it has ended, or was only asked to
   * @throws OpsError `NotFound`, `WrongState`; see {@link endLost}
   */
  async cancelOperation(operation: OperationId, reason = ''): Promise<'asked' | 'ended'> {
    const { row, client, isLost } = await this.cancellable(operation);
    if (isLost) {
      const { pool, settings, principal } = this.connections;
      const configServer = new ConfigServer(settings.vespaConfigUrl);
      await endLost({ pool, client, configServer, by: { principal, reason } }, row);
      return 'ended';
    }
    const entry = { verb: 'cancel-operation', tenant: row.tenant ?? '-', operation, reason } as const;
    await this.connections.audited(entry, () => client.workflow.getHandle(row.workflowId).cancel());
    return 'asked';
  }

  /** What `cancelOperation` would stop, how, and how far it has come. @throws OpsError as that */
  async planCancel(operation: OperationId): Promise<CancelPlan> {
    const { row, client, isLost } = await this.cancellable(operation);
    if (isLost) await requireLost(client, row);
    const { kind, tenant } = row;
    const counts = kind === 'ingestVideos' ? await countItems(this.pool, operation) : row.counts;
    return { operation, kind, tenant, ended: isLost, counts: { ...counts } };
  }

  private async cancellable(operation: OperationId) {
    const row = await ownOperation(this.connections, 'op cancel', operation);
    if (row.state !== 'running') throw hasEnded(operation, row.state);
    if (RETENTION_KINDS.includes(row.kind))
      throw new OpsError(
        'WrongState',
        `a ${row.kind} is not cancelled`,
        `the way back is: cvops tenant reactivate ${row.tenant}`,
      );
    const client = await this.connections.temporal();
    return { row, client, isLost: (await lossOf(client, row)) !== undefined };
  }

  /** Resolved now: the operation goes on with these values, whatever becomes of the template. */
  private async valuesOf({ template, overrides }: CreateTenantRequest): Promise<TemplateValues> {
    return applyOverrides(await resolveTemplate(this.pool, template), overrides);
  }

  /** A clear answer at once; the workflow's first step decides. */
  private async refuseExisting({ tenant, overrideQuarantine }: CreateTenantRequest): Promise<void> {
    const there = await findTenant(this.pool, tenant);
    if (there) requireState('create', tenant, there.state, there.purgeAt);
    if (there && !overrideQuarantine) requireFreeName(there);
  }

  private withUi(row: OperationRow): OperationRow & { ui: string } {
    return { ...row, ui: this.connections.uiUrl(row.workflowId) };
  }
}

function summary(row: TenantRow, schemas: readonly SchemaRow[]): TenantSummary {
  const { tenant, incarnation, state, template, phoenixProject, createdAt } = row;
  const { deactivatedAt, purgeAt, purgedAt, quarantineUntil } = row;
  return {
    ...{ tenant, incarnation, state, template, phoenixProject },
    ...{ createdAt, deactivatedAt, purgeAt, purgedAt, quarantineUntil },
    schemas: schemas.map(({ schemaName }) => schemaName),
  };
}
