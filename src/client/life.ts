import { randomUUID } from 'node:crypto';
import {
  type Client,
  type Workflow,
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { requireNoConsent } from '../access/secondPerson.js';
import { checkInput } from '../contracts/common.js';
import {
  type HardDeleteInput,
  type HardDeleteResult,
  type PurgePlan,
  type Rehearsal,
  type RetentionInput,
  type RetentionStatus,
  type Running,
  extendRequest,
  hardDeleteInput,
  retentionInput,
  retentionRequest,
} from '../contracts/life.js';
import type { Verb } from '../domain/access.js';
import { OpsError } from '../domain/errors.js';
import { type OperationId, type TenantId, parseOperationId } from '../domain/ids.js';
import { workflowIds } from '../domain/naming.js';
import { DEFAULT_SECOND_LOOK_SECONDS, differences } from '../domain/purge.js';
import type { TenantVerb } from '../domain/states.js';
import { waitingRetention } from '../operations/reconcile.js';
import { type OperationStart, operationOptions } from '../operations/start.js';
import { PhoenixClient } from '../phoenix/client.js';
import { countStores } from '../purge/stores.js';
import { findCertificate } from '../registry/purgeStores.js';
import { type TenantRow, getTenant, requireTenant } from '../registry/tenants.js';
import { ConfigServer } from '../vespa/configServer.js';
import { openDocuments } from '../vespa/access.js';
import { type Connections, underWay } from './connections.js';
import type { OperationHandle } from './operations.js';
import { UpdateHandle } from './operations.js';

export interface DeactivateRequest {
  readonly tenant: TenantId;
  readonly retentionDays: number;
  /** Let running operations end, or cancel them. */
  readonly running: Running;
  readonly reason: string;
}

export interface DeleteRequest {
  readonly tenant: TenantId;
  readonly reason: string;
  readonly secondLookSeconds?: number | undefined;
  /** A former {@link LifeClient.rehearse}: refused when the counts are others now. */
  readonly rehearsal?: PurgePlan | undefined;
}

/** A retention workflow that has just been answered needs a moment to end before the next may begin. */
const ENDING_TRIES = 20;
const ENDING_PAUSE_MS = 250;

/** The command that a verb of a tenant's life is to access. */
const COMMANDS = {
  deactivate: 'tenant deactivate',
  reactivate: 'tenant reactivate',
  extend: 'tenant extend',
  purgeNow: 'tenant delete',
  delete: 'tenant delete',
} as const satisfies Partial<Record<TenantVerb, Verb>>;

/** The end of a tenant's life: soft delete and the ways back from it, hard delete and its proof. */
export class LifeClient {
  constructor(private readonly connections: Connections) {}

  /** @throws OpsError `NotFound`, `WrongState` */
  async deactivate(request: DeactivateRequest): Promise<OperationHandle<RetentionStatus>> {
    const { tenant, retentionDays, running, reason } = request;
    await this.connections.authorize('tenant deactivate', tenant);
    const row = await this.require(tenant, 'deactivate');
    const start = this.retentionStart(tenant, reason);
    const { operation, principal } = start;
    const input: RetentionInput = checkInput(retentionInput, {
      ...this.waiting(row),
      begin: { operation, principal, reason, retentionDays, running },
    });
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.update<RetentionStatus>(start, input, 'FAIL', 'deactivated', []);
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        await this.require(tenant, 'deactivate');
        if (attempt === ENDING_TRIES) throw underWay(start);
        await new Promise((resolve) => setTimeout(resolve, ENDING_PAUSE_MS));
      }
    }
  }

  /** @throws OpsError `NotFound`, `WrongState`; its result too, when the retention ends meanwhile */
  async reactivate(tenant: TenantId, reason: string): Promise<OperationHandle<RetentionStatus>> {
    return this.answer('reactivate', tenant, reason, 'reactivate', (asked) =>
      checkInput(retentionRequest, asked),
    );
  }

  /** Moves the end of the retention `days` further. */
  async extend(tenant: TenantId, days: number, reason: string): Promise<OperationHandle<RetentionStatus>> {
    return this.answer('extend', tenant, reason, 'extendRetention', (asked) =>
      checkInput(extendRequest, { ...asked, days }),
    );
  }

  /**
   * Ends the retention now. The result names the operation that purges.
   *
   * @throws OpsError `Conflict` where deleting takes two
   */
  async purgeNow(tenant: TenantId, reason: string): Promise<OperationHandle<RetentionStatus>> {
    return this.answer('purgeNow', tenant, reason, 'purgeNow', (asked) =>
      checkInput(retentionRequest, asked),
    );
  }

  /** Where a tenant stands, when the verb may begin. @throws OpsError `NotFound`, `WrongState` */
  async plan(
    tenant: TenantId,
    verb: keyof typeof COMMANDS,
  ): Promise<{ tenant: TenantId; state: string; purgeAt: string | null }> {
    await this.connections.authorize(COMMANDS[verb], tenant);
    const { state, purgeAt } = await this.require(tenant, verb);
    return { tenant, state, purgeAt };
  }

  /** Counts exactly what a hard delete would take away, and takes nothing. @throws OpsError `NotFound`, `WrongState` */
  async rehearse(tenant: TenantId): Promise<PurgePlan> {
    await this.connections.authorize('tenant delete', tenant);
    const row = await this.require(tenant, 'delete');
    const { pool, settings } = this.connections;
    const documents = await openDocuments(settings);
    try {
      const stores = await countStores(
        {
          pool,
          documents,
          vespaUrl: settings.vespaUrl,
          configServer: new ConfigServer(settings.vespaConfigUrl),
          phoenix: new PhoenixClient(settings.phoenixUrl),
          temporal: () => this.connections.temporal(),
        },
        row,
      );
      const { incarnation, state } = row;
      return { tenant, incarnation, state, at: new Date().toISOString(), stores };
    } finally {
      await documents.close();
    }
  }

  /** @throws OpsError `NotFound`, `WrongState`, `Conflict` when the rehearsal is not true any more */
  async delete(request: DeleteRequest): Promise<OperationHandle<HardDeleteResult>> {
    const { tenant, reason, secondLookSeconds = DEFAULT_SECOND_LOOK_SECONDS } = request;
    await this.connections.authorize('tenant delete', tenant);
    const row = await this.require(tenant, 'delete');
    const rehearsal = request.rehearsal === undefined ? null : await this.stillTrue(row, request.rehearsal);
    const operation = parseOperationId(randomUUID());
    const { settings } = this.connections;
    const input: HardDeleteInput = checkInput(hardDeleteInput, {
      tenant,
      incarnation: row.incarnation,
      operation,
      principal: this.connections.principal,
      reason,
      trigger: 'requested',
      cluster: settings.vespaCluster,
      secondLookSeconds,
      rehearsal,
    });
    return this.connections.start(
      {
        kind: 'hardDeleteTenant',
        workflowId: workflowIds.purge(tenant),
        tenant,
        operation,
        reason,
        summary: `delete tenant ${tenant} for good`,
        priority: 2,
      },
      input,
    );
  }

  /** The signed proof of a tenant's last purge, as it is in the registry. @throws OpsError `NotFound` */
  async certificate(tenant: TenantId): Promise<string> {
    await this.connections.authorize('certificate get', tenant);
    const { incarnation, state } = await getTenant(this.connections.pool, tenant);
    const document = await findCertificate(this.connections.pool, incarnation);
    if (document !== undefined) return document;
    throw new OpsError(
      'NotFound',
      `there is no erasure certificate of tenant ${tenant}, which is ${state}`,
      `follow its deletion with: cvops op list --tenant ${tenant}`,
    );
  }

  private async stillTrue(row: TenantRow, plan: PurgePlan): Promise<Rehearsal> {
    if (plan.tenant !== row.tenant || plan.incarnation !== row.incarnation)
      throw new OpsError(
        'Conflict',
        `the rehearsal is of another tenant or life: ${plan.tenant} ${plan.incarnation}`,
      );
    const now = await this.rehearse(row.tenant);
    const changed = differences(plan.stores, now.stores);
    if (changed.length > 0) {
      const shown = changed.map((d) => `${d.store} ${d.name}: ${d.expected} then, ${d.found} now`);
      throw new OpsError(
        'Conflict',
        `not as rehearsed: ${shown.join('; ')}`,
        'rehearse again with --dry-run',
      );
    }
    return { at: plan.at, stores: [...plan.stores] };
  }

  /** An update of the retention's workflow; one that is lost is taken up again from the registry first. */
  private async answer<A extends object>(
    verb: keyof typeof COMMANDS,
    tenant: TenantId,
    reason: string,
    update: string,
    toArgument: (asked: object) => A,
  ): Promise<OperationHandle<RetentionStatus>> {
    await this.connections.authorize(COMMANDS[verb], tenant);
    const row = await this.require(tenant, verb);
    const start = this.retentionStart(tenant, reason);
    const { operation, principal } = start;
    const argument = toArgument({ tenant, incarnation: row.incarnation, operation, principal, reason });
    return this.update<RetentionStatus>(start, this.waiting(row), 'USE_EXISTING', update, [argument]);
  }

  private async update<T>(
    start: OperationStart,
    input: RetentionInput,
    workflowIdConflictPolicy: 'FAIL' | 'USE_EXISTING',
    update: string,
    args: [] | [object],
  ): Promise<OperationHandle<T>> {
    const client: Client = await this.connections.temporal();
    const startWorkflowOperation = new WithStartWorkflowOperation('softDeleteTenant', {
      ...operationOptions(start, input),
      workflowIdConflictPolicy,
    });
    const handle = await client.workflow.startUpdateWithStart<Workflow, T, [] | [object]>(update, {
      startWorkflowOperation,
      waitForStage: 'ACCEPTED',
      updateId: start.operation,
      args,
    });
    const workflow = await startWorkflowOperation.workflowHandle();
    return new UpdateHandle<T>(start.operation, workflow, this.connections.uiUrl(start.workflowId), handle);
  }

  private retentionStart(tenant: TenantId, reason: string): OperationStart {
    return {
      kind: 'softDeleteTenant',
      workflowId: workflowIds.retention(tenant),
      tenant,
      operation: parseOperationId(randomUUID()) satisfies OperationId,
      principal: this.connections.principal,
      reason,
      summary: `retention of tenant ${tenant}`,
      priority: 2,
    };
  }

  private waiting(row: TenantRow): RetentionInput {
    return waitingRetention(row, this.connections.settings.vespaCluster);
  }

  private async require(tenant: TenantId, verb: TenantVerb): Promise<TenantRow> {
    const { pool } = this.connections;
    const row = await requireTenant(pool, tenant, verb);
    // The purge's own first activity says no too, but as a failed operation later.
    if (verb === 'purgeNow') await requireNoConsent(pool, tenant);
    return row;
  }
}
