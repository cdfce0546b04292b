import { randomUUID } from 'node:crypto';
import { checkInput } from '../contracts/common.js';
import {
  type VerifyIsolationResult,
  testIsolationInput,
  verifyIsolationInput,
} from '../contracts/isolation.js';
import { type TenantId, parseOperationId } from '../domain/ids.js';
import { workflowIds } from '../domain/naming.js';
import { requireTenant } from '../registry/tenants.js';
import type { Connections } from './connections.js';
import type { OperationHandle } from './operations.js';

export interface VerifyIsolationRequest {
  readonly tenants: 'all' | readonly [TenantId, TenantId];
  readonly reason: string;
}

/** Proof that tenants are kept apart. */
export class IsolationClient {
  constructor(private readonly connections: Connections) {}

  /** That a verification, or a self-test, of these may begin. @throws OpsError as {@link verify} */
  async plan(tenants: VerifyIsolationRequest['tenants']): Promise<void> {
    const named = tenants === 'all' ? [] : tenants;
    await this.connections.authorize('isolation verify', ...named);
    for (const tenant of named) await requireTenant(this.connections.pool, tenant, 'verifyIsolation');
  }

  /** @throws OpsError `NotFound`, `WrongState`, `PermissionDenied` */
  async verify({ tenants, reason }: VerifyIsolationRequest): Promise<OperationHandle<VerifyIsolationResult>> {
    const { asker } = this.connections;
    await this.plan(tenants);
    const operation = parseOperationId(randomUUID());
    const input = checkInput(verifyIsolationInput, {
      ...{ operation, ...asker, reason, tenants },
    });
    return this.connections.start(
      {
        ...{ kind: 'verifyIsolation', workflowId: workflowIds.verifyIsolation(operation) },
        ...{ tenant: null, operation, reason, priority: 4 },
        summary: `verify the isolation of ${tenants === 'all' ? 'all tenants' : tenants.join(' and ')}`,
      },
      input,
    );
  }

  /** Plants a leak of each kind with throw-away tenants. @throws OpsError `PermissionDenied` */
  async selfTest(reason: string): Promise<OperationHandle<VerifyIsolationResult>> {
    const { principal, settings } = this.connections;
    await this.connections.authorize('isolation verify');
    const operation = parseOperationId(randomUUID());
    const { vespaCluster: cluster } = settings;
    const input = checkInput(testIsolationInput, { operation, principal, reason, cluster });
    return this.connections.start(
      {
        ...{ kind: 'testIsolation', workflowId: workflowIds.testIsolation(operation) },
        ...{ tenant: null, operation, reason, priority: 4 },
        summary: 'self-test of isolation',
      },
      input,
    );
  }
}
