import { randomUUID } from 'node:crypto';
import { Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { WorkflowStartOptions } from '@temporalio/client';
import { type IngestVideosInput, type IngestVideosResult, ingestVideosInput } from '../contracts/ingest.js';
import { checkInput } from '../contracts/common.js';
import { type SearchInput, type SearchResult, searchInput } from '../contracts/search.js';
import { type CreateTenantInput, type CreateTenantResult, createTenantInput } from '../contracts/tenants.js';
import { OpsError } from '../domain/errors.js';
import { type OperationId, type TenantId, parseIncarnation, parseOperationId } from '../domain/ids.js';
import { TASK_QUEUES, phoenixProjectName, tenantSchemaName, workflowIds } from '../domain/naming.js';
import { type BaseSchema, MEMORY_SCHEMA, type ProfileName } from '../domain/profiles.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { type OperationKind, type TenantState, requireState } from '../domain/states.js';
import { type TemplateValues, applyOverrides } from '../domain/templates.js';
import { createEncoder } from '../encoders/port.js';
import { SpanSender } from '../phoenix/spans.js';
import { type ConfigVersion, currentConfig } from '../registry/config.js';
import { type Pool, openPool } from '../registry/database.js';
import { failedItems } from '../registry/ledger.js';
import { type OperationRow, getOperation, listOperations } from '../registry/operations.js';
import { type SchemaRow, allSchemas, schemasOf } from '../registry/schemas.js';
import { resolveTemplate } from '../registry/templates.js';
import { type TenantRow, findTenant, getTenant, listTenants, requireTenant } from '../registry/tenants.js';
import { searchTenant } from '../search/searchTenant.js';
import type { Settings } from '../settings.js';
import { ConfigServer } from '../vespa/configServer.js';
import { mappedSchemas } from '../vespa/package/services.js';
import { discoverVideos } from '../video/discover.js';
import { ConfigClient, TemplateClient } from './config.js';
import { OperationHandle, workflowUrl } from './operations.js';

export { OperationHandle } from './operations.js';

export interface CreateTenantRequest {
  readonly tenant: TenantId;
  readonly template: string;
  readonly overrides: Readonly<Record<string, string>>;
  readonly profiles: readonly ProfileName[];
  readonly reason: string;
}

export interface IngestRequest {
  readonly tenant: TenantId;
  readonly profile: ProfileName;
  /** Absolute, on the data workers' machine. */
  readonly folder: string;
  readonly concurrency: number;
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
  readonly purgeAt: string | null;
}

/** Seconds a client waits for the Temporal server to answer at all. */
const CONNECT_TIMEOUT = '5s';

/**
 * The typed client: starts operations, follows them, and answers what needs no workflow. Connections open at their first
 * use, so that `tenant list` works while Temporal is down.
 */
export class CvopsClient {
  private temporal: Promise<Client> | undefined;
  private readonly closers: (() => Promise<void>)[] = [];

  readonly config: ConfigClient;
  readonly templates: TemplateClient;

  private constructor(
    private readonly settings: Settings,
    private readonly pool: Pool,
  ) {
    this.config = new ConfigClient(pool, settings);
    this.templates = new TemplateClient(pool, settings);
  }

  static async connect(settings: Settings): Promise<CvopsClient> {
    const pool = openPool(settings.databaseUrl, { name: 'cvops', max: 5 });
    try {
      await pool.query('select 1');
    } catch (error) {
      await pool.end();
      const { host } = new URL(settings.databaseUrl);
      throw new OpsError(
        'Unavailable',
        `cannot reach the registry at ${host}: ${(error as Error).message || 'no answer'}`,
        'start the embedded stack with: cvops up (or set DATABASE_URL)',
      );
    }
    return new CvopsClient(settings, pool);
  }

  async close(): Promise<void> {
    for (const close of this.closers.reverse()) await close();
    await this.pool.end();
  }

  /** What `createTenant` would make. @throws OpsError as the creation would at its start */
  async planTenant(request: CreateTenantRequest): Promise<object> {
    await this.refuseExisting(request.tenant);
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
    const operation = parseOperationId(randomUUID());
    const { tenant, template, profiles, reason } = request;
    const values = await this.valuesOf(request);
    await this.refuseExisting(request.tenant);
    const input: CreateTenantInput = checkInput(createTenantInput, {
      tenant,
      template,
      values,
      profiles,
      reason,
      operation,
      incarnation: parseIncarnation(randomUUID()),
      cluster: this.settings.vespaCluster,
      principal: this.settings.principal,
    });
    return this.start(
      'createTenant',
      workflowIds.createTenant(request.tenant),
      input,
      `create tenant ${request.tenant}`,
      2,
    );
  }

  async planIngest(request: IngestRequest): Promise<{ tenant: TenantId; schema: string; videos: number }> {
    const row = await requireTenant(this.pool, request.tenant, 'ingest');
    const schema = (await schemasOf(this.pool, row.incarnation)).find(
      (s) => s.baseSchema === request.profile,
    );
    if (schema === undefined)
      throw new OpsError('NotFound', `tenant ${request.tenant} does not have the profile ${request.profile}`);
    const videos = await discoverVideos(request.folder);
    return { tenant: request.tenant, schema: schema.schemaName, videos: videos.length };
  }

  /** @throws OpsError `InvalidInput`, `NotFound`, `WrongState` */
  async ingest(request: IngestRequest): Promise<OperationHandle<IngestVideosResult>> {
    const operation = parseOperationId(randomUUID());
    await requireTenant(this.pool, request.tenant, 'ingest');
    const input: IngestVideosInput = checkInput(ingestVideosInput, {
      ...request,
      operation,
      principal: this.settings.principal,
    });
    const summary = `ingest into ${request.tenant}: ${request.profile}`;
    return this.start('ingestVideos', workflowIds.ingest(request.tenant, operation), input, summary, 4);
  }

  async ingestFailures(operation: OperationId, limit: number): Promise<{ video: string; reason: string }[]> {
    return failedItems(this.pool, operation, limit);
  }

  /** @throws OpsError `NotFound`, `WrongState`, `InvalidInput`, `Unavailable` */
  async search(raw: SearchInput): Promise<SearchResult> {
    const input = checkInput(searchInput, raw);
    const spans = new SpanSender(this.settings.phoenixUrl);
    const { encoderUrl: url, encoderModel: model, encoderToken: tokenRef } = this.settings;
    const encoder = createEncoder({ url, model, tokenRef });
    this.closers.push(
      () => spans.close(),
      () => encoder.close(),
    );
    return searchTenant({ pool: this.pool, vespaUrl: this.settings.vespaUrl, encoder, spans }, input);
  }

  async listTenants(state?: TenantState): Promise<TenantSummary[]> {
    const [schemas, tenants] = [await allSchemas(this.pool), await this.everyTenant(state)];
    const owned = Map.groupBy(schemas, ({ incarnation }) => incarnation);
    return tenants.map((row) => summary(row, owned.get(row.incarnation) ?? []));
  }

  /** @throws OpsError `NotFound` */
  async showTenant(
    tenant: TenantId,
  ): Promise<TenantSummary & { config: ConfigVersion[]; operations: OperationRow[] }> {
    const row = await getTenant(this.pool, tenant);
    const [schemas, config, operations] = await Promise.all([
      schemasOf(this.pool, row.incarnation),
      currentConfig(this.pool, row.incarnation),
      listOperations(this.pool, { tenant, limit: 10 }),
    ]);
    return { ...summary(row, schemas), config, operations };
  }

  /** Physical schemas by tenant, from the registry: no name is ever read for its owner. */
  async listSchemas(tenant?: TenantId): Promise<Record<string, string[]>> {
    const rows =
      tenant === undefined
        ? await allSchemas(this.pool)
        : await schemasOf(this.pool, (await getTenant(this.pool, tenant)).incarnation);
    const grouped = Map.groupBy(rows, (row) => row.tenant as string);
    if (tenant !== undefined && !grouped.has(tenant)) grouped.set(tenant, []);
    return Object.fromEntries(
      [...grouped].map(([id, owned]) => [id, owned.map(({ schemaName }) => schemaName)]),
    );
  }

  /** Compares the registry with the active package: by file and by mapping, as losing either loses the schema. */
  async verifySchemas(tenant?: TenantId): Promise<{ ok: boolean; missing: string[]; unexpected: string[] }> {
    const server = new ConfigServer(this.settings.vespaConfigUrl);
    const [files, services] = [await server.listFiles(), await server.readFile('services.xml')];
    const withFile = new Set(
      files.filter((f) => /^schemas\/.*\.sd$/.test(f)).map((f) => f.slice('schemas/'.length, -'.sd'.length)),
    );
    const mapped = new Set(services === undefined ? [] : mappedSchemas(services.toString('utf8')));
    const registered = (await allSchemas(this.pool)).filter((row) => row.state === 'deployed');
    const mine = tenant === undefined ? registered : registered.filter((row) => row.tenant === tenant);
    const missing = mine
      .map((row) => row.schemaName)
      .filter((name) => !withFile.has(name) || !mapped.has(name));
    const known = new Set((await allSchemas(this.pool)).map((row) => row.schemaName));
    // What is nobody's cannot be said to be one tenant's: only the whole view shows it.
    const unexpected =
      tenant === undefined ? [...withFile.union(mapped)].filter((name) => !known.has(name)) : [];
    return { ok: missing.length === 0 && unexpected.length === 0, missing, unexpected };
  }

  /** Newest first. */
  async listOperations(
    tenant: TenantId | undefined,
    limit: number,
  ): Promise<(OperationRow & { ui: string })[]> {
    return (await listOperations(this.pool, { tenant, limit })).map((row) => this.withUi(row));
  }

  /** @throws OpsError `NotFound` */
  async showOperation(
    operation: OperationId,
  ): Promise<OperationRow & { ui: string; failures: { video: string; reason: string }[] }> {
    const row = await getOperation(this.pool, operation);
    return { ...this.withUi(row), failures: await failedItems(this.pool, operation, 1000) };
  }

  async operationHandle(operation: OperationId): Promise<OperationHandle<unknown>> {
    const row = await getOperation(this.pool, operation);
    const client = await this.temporalClient();
    return new OperationHandle(operation, client.workflow.getHandle(row.workflowId), this.withUi(row).ui);
  }

  async cancelOperation(operation: OperationId): Promise<void> {
    const row = await getOperation(this.pool, operation);
    if (row.state !== 'running')
      throw new OpsError('WrongState', `operation ${operation} has ended: ${row.state}`);
    await (await this.temporalClient()).workflow.getHandle(row.workflowId).cancel();
  }

  private async start<T>(
    kind: OperationKind,
    workflowId: string,
    input: {
      readonly tenant: TenantId;
      readonly operation: OperationId;
      readonly principal: string;
      readonly reason: string;
    },
    staticSummary: string,
    priorityKey: number,
  ): Promise<OperationHandle<T>> {
    const client = await this.temporalClient();
    const options: WorkflowStartOptions = {
      workflowId,
      taskQueue: TASK_QUEUES.control,
      args: [input],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
      typedSearchAttributes: [
        { key: SEARCH_ATTRIBUTES.tenantId, value: input.tenant },
        { key: SEARCH_ATTRIBUTES.operationKind, value: kind },
        { key: SEARCH_ATTRIBUTES.operationState, value: 'running' },
      ],
      memo: { operation: input.operation, principal: input.principal, reason: input.reason },
      staticSummary,
      // Bulk work yields to interactive, and one tenant's backlog is not in front of another's.
      priority: { priorityKey, fairnessKey: input.tenant },
    };
    try {
      const handle = await client.workflow.start(kind, options);
      return new OperationHandle<T>(input.operation, handle, this.uiUrl(workflowId));
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      throw new OpsError(
        'Conflict',
        `${staticSummary}: it is under way already`,
        `follow it with: cvops op list --tenant ${input.tenant}`,
      );
    }
  }

  private temporalClient(): Promise<Client> {
    this.temporal ??= this.openTemporal();
    return this.temporal;
  }

  private async openTemporal(): Promise<Client> {
    const { temporalAddress: address, temporalNamespace: namespace } = this.settings;
    let connection: Connection;
    try {
      connection = await Connection.connect({ address, connectTimeout: CONNECT_TIMEOUT });
    } catch (error) {
      throw new OpsError(
        'Unavailable',
        `cannot reach Temporal at ${address}: ${(error as Error).message}`,
        'start the embedded stack with: cvops up (or set TEMPORAL_ADDRESS)',
      );
    }
    this.closers.push(() => connection.close());
    return new Client({ connection, namespace });
  }

  /** Resolved now: the operation goes on with these values, whatever becomes of the template. */
  private async valuesOf({ template, overrides }: CreateTenantRequest): Promise<TemplateValues> {
    return applyOverrides(await resolveTemplate(this.pool, template), overrides);
  }

  /** A clear answer at once; the workflow's first step decides. */
  private async refuseExisting(tenant: TenantId): Promise<void> {
    const there = await findTenant(this.pool, tenant);
    if (there) requireState('create', tenant, there.state);
  }

  private async everyTenant(state: TenantState | undefined): Promise<TenantRow[]> {
    const all: TenantRow[] = [];
    for (;;) {
      const after = all.at(-1)?.tenant;
      const page = await listTenants(this.pool, {
        state,
        limit: 1000,
        ...(after === undefined ? {} : { after }),
      });
      all.push(...page);
      if (page.length < 1000) return all;
    }
  }

  private withUi(row: OperationRow): OperationRow & { ui: string } {
    return { ...row, ui: this.uiUrl(row.workflowId) };
  }

  private uiUrl(workflowId: string): string {
    return workflowUrl(this.settings.temporalUiUrl, this.settings.temporalNamespace, workflowId);
  }
}

function summary(row: TenantRow, schemas: readonly SchemaRow[]): TenantSummary {
  const { tenant, incarnation, state, template, phoenixProject, createdAt, purgeAt } = row;
  return {
    tenant,
    incarnation,
    state,
    template,
    phoenixProject,
    createdAt,
    purgeAt,
    schemas: schemas.map(({ schemaName }) => schemaName),
  };
}
