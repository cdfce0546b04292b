import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation, type Workflow } from '@temporalio/client';
import { checkInput } from '../contracts/common.js';
import {
  type DeploySchemasInput,
  type DeploySchemasResult,
  deploySchemasInput,
} from '../contracts/rollout.js';
import { type SchemaChangeOutcome, schemaChangeRequest } from '../contracts/tenants.js';
import { OpsError } from '../domain/errors.js';
import { type OperationId, type TenantId, parseOperationId } from '../domain/ids.js';
import { tenantSchemaName, workflowIds } from '../domain/naming.js';
import type { BaseSchema } from '../domain/profiles.js';
import { waves } from '../domain/waves.js';
import { applicationStart } from '../operations/start.js';
import { rolloutItems } from '../registry/rollout.js';
import { type SchemaRow, allSchemas, registeredNames, schemasOf } from '../registry/schemas.js';
import { type TenantRow, everyTenant, getTenant, requireTenant } from '../registry/tenants.js';
import { openDocuments } from '../vespa/access.js';
import { isInPackage, readPackage, unregistered } from '../vespa/activePackage.js';
import { ConfigServer } from '../vespa/configServer.js';
import { digestOf } from '../access/proofs.js';
import { noteSchemaRequest } from '../registry/access.js';
import type { Connections } from './connections.js';
import { ownOperation } from './ownOperation.js';
import type { OperationHandle } from './operations.js';

export interface DeploySchemasRequest {
  readonly tenants: 'all' | readonly TenantId[];
  /** Base schemas that each gets; null: those each has. */
  readonly bases: readonly BaseSchema[] | null;
  readonly maxFailures: number;
  readonly reason: string;
}

export interface SchemaDrift {
  readonly ok: boolean;
  /** Deployed by the registry, and not in the package. */
  readonly missing: string[];
  /** In the package, and nobody's by the registry; only in the view of all tenants. */
  readonly unexpected: string[];
  /** Active tenants with something missing: whom a repair is for. */
  readonly repairable: TenantId[];
}

/** Schemas of one tenant, several, or all. */
export class SchemaClient {
  constructor(private readonly connections: Connections) {}

  /** Physical schemas by tenant, from the registry: no name is ever read for its owner. */
  async list(tenant?: TenantId): Promise<Record<string, string[]>> {
    const { pool } = this.connections;
    tenant = await this.connections.authorizeList('schema list', tenant);
    const rows =
      tenant === undefined
        ? await allSchemas(pool)
        : await schemasOf(pool, (await getTenant(pool, tenant)).incarnation);
    const grouped = Map.groupBy(rows, (row) => row.tenant as string);
    if (tenant !== undefined && !grouped.has(tenant)) grouped.set(tenant, []);
    return Object.fromEntries(
      [...grouped].map(([id, owned]) => [id, owned.map(({ schemaName }) => schemaName)]),
    );
  }

  /** Compares the registry with the active package. */
  async verify(tenant?: TenantId): Promise<SchemaDrift> {
    const { pool, settings } = this.connections;
    tenant = await this.connections.authorizeList('schema verify', tenant);
    if (tenant !== undefined) await getTenant(pool, tenant);
    const active = await readPackage(new ConfigServer(settings.vespaConfigUrl));
    const all = await allSchemas(pool);
    const lost = all.filter(
      (row: SchemaRow) =>
        row.state === 'deployed' &&
        (tenant === undefined || row.tenant === tenant) &&
        !isInPackage(active, row.schemaName),
    );
    // What is nobody's cannot be said to be one tenant's: only the whole view shows it.
    const unexpected = tenant === undefined ? unregistered(active, all) : [];
    const owners = [...new Set(lost.map((row) => row.tenant))];
    const rows = await Promise.all(owners.map((id) => getTenant(pool, id)));
    return {
      ok: lost.length === 0 && unexpected.length === 0,
      missing: lost.map((row) => row.schemaName),
      unexpected,
      repairable: rows.filter(({ state }) => state === 'active').map((row) => row.tenant),
    };
  }

  /** Whom a rollout would be for, with what, in which waves. */
  async plan(request: DeploySchemasRequest): Promise<object> {
    const { pool } = this.connections;
    await this.authorizeDeploy(request);
    const rows: TenantRow[] =
      request.tenants === 'all'
        ? await everyTenant(pool, 'active')
        : await Promise.all(request.tenants.map((id) => requireTenant(pool, id, 'deploySchemas')));
    const tenants: Record<string, string[]> = {};
    for (const { tenant, incarnation } of rows) {
      tenants[tenant] =
        request.bases?.map((base) => tenantSchemaName(base, tenant)) ??
        (await schemasOf(pool, incarnation)).map(({ schemaName }) => schemaName);
    }
    return { tenants, waves: waves(rows.length) };
  }

  /** @throws OpsError `NotFound`, `WrongState` for a tenant that was named */
  async deploy(request: DeploySchemasRequest): Promise<OperationHandle<DeploySchemasResult>> {
    const { pool, settings, principal } = this.connections;
    await this.authorizeDeploy(request);
    const operation = parseOperationId(randomUUID());
    const input: DeploySchemasInput = checkInput(deploySchemasInput, {
      ...request,
      operation,
      cluster: settings.vespaCluster,
      principal,
    });
    if (input.tenants !== 'all')
      for (const tenant of input.tenants) await requireTenant(pool, tenant, 'deploySchemas');
    const whom = input.tenants === 'all' ? 'all tenants' : input.tenants.slice(0, 3).join(', ');
    return this.connections.start(
      {
        kind: 'deploySchemas',
        workflowId: workflowIds.deploySchemas(operation),
        tenant: null,
        operation,
        reason: request.reason,
        summary: `deploy schemas of ${whom}`,
        priority: 3,
      },
      input,
    );
  }

  private async authorizeDeploy({ tenants }: DeploySchemasRequest): Promise<void> {
    if (tenants === 'all') await this.connections.authorize('schema deploy --all');
    else await this.connections.authorize('schema deploy', ...tenants);
  }

  /** Physical schemas of the tenants that are done, and who is not with why: the ledger of a rollout. */
  async rolled(
    operation: OperationId,
  ): Promise<{ deployed: string[]; failures: { tenant: string; reason: string }[] }> {
    await ownOperation(this.connections, 'op show', operation);
    const items = await rolloutItems(this.connections.pool, operation);
    return {
      deployed: items.flatMap(({ schemas }) => schemas),
      failures: items.flatMap(({ tenant, reason }) => (reason === null ? [] : [{ tenant, reason }])),
    };
  }

  async failures(operation: OperationId): Promise<{ tenant: string; reason: string }[]> {
    return (await this.rolled(operation)).failures;
  }

  /** Whom `dropUnregistered` would take out, with how many documents each. @throws OpsError as that */
  async planDrop(names: readonly string[]): Promise<{ schema: string; documents: number }[]> {
    await this.requireUnregistered(names);
    const { settings } = this.connections;
    const { mapped, contentCluster } = await readPackage(new ConfigServer(settings.vespaConfigUrl));
    const documents = await openDocuments(settings);
    try {
      const count = async (name: string) => (mapped.has(name) ? documents.count(name, contentCluster) : 0);
      const plan = [];
      for (const schema of names) plan.push({ schema, documents: await count(schema) });
      return plan;
    } finally {
      await documents.close();
    }
  }

  /**
   * Takes schemas out of the package that are nobody's by the registry, with their documents.
   *
   * @throws OpsError `NotFound` when one is not in the package, `Conflict` when one belongs to a tenant, `Rejected`
   */
  async dropUnregistered(
    names: readonly string[],
    reason: string,
  ): Promise<{ dropped: string[]; generation: number }> {
    const { pool, settings } = this.connections;
    await this.requireUnregistered(names);
    const request = checkInput(schemaChangeRequest, {
      id: randomUUID(),
      tenant: null,
      incarnation: null,
      add: [],
      remove: [],
      dropUnregistered: [...names],
    });
    await noteSchemaRequest(pool, digestOf([request]));
    const client = await this.connections.temporal();
    const startWorkflowOperation = new WithStartWorkflowOperation('vespaApplication', {
      ...applicationStart(settings.vespaCluster),
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    const entry = { verb: 'drop-unregistered-schemas', tenant: '-', reason, detail: { names } } as const;
    const { generation } = await this.connections.audited(entry, async () => {
      const outcome = await client.workflow.executeUpdateWithStart<Workflow, SchemaChangeOutcome, [object]>(
        'changeSchemas',
        { startWorkflowOperation, updateId: request.id, args: [request] },
      );
      if (outcome.ok) return outcome;
      throw new OpsError('Rejected', outcome.error?.message ?? 'the change was refused');
    });
    return { dropped: [...names], generation };
  }

  private async requireUnregistered(names: readonly string[]): Promise<void> {
    await this.connections.authorize('schema drop');
    const { unexpected } = await this.verify();
    const known = await registeredNames(this.connections.pool, names);
    for (const name of names) {
      if (known.has(name))
        throw new OpsError('Conflict', `schema ${name} belongs to a tenant by the registry`);
      if (!unexpected.includes(name))
        throw new OpsError(
          'NotFound',
          `no schema ${name} in the package`,
          'see them with: cvops schema verify',
        );
    }
  }
}
