import { randomBytes, randomUUID } from 'node:crypto';
import { checkInput } from '../contracts/common.js';
import {
  type BackupTenantInput,
  type BackupTenantResult,
  type DrillRestoreInput,
  type DrillRestoreResult,
  type RestoreTenantInput,
  type RestoreTenantResult,
  type VerifyBackupInput,
  type VerifyBackupResult,
  backupTenantInput,
  drillRestoreInput,
  restoreTenantInput,
  verifyBackupInput,
} from '../contracts/backupOperations.js';
import type { Verb } from '../domain/access.js';
import { drilledBackup } from '../backup/drilled.js';
import { findBackup, noSuchBackup } from '../registry/backups.js';
import { type BackupId, type Consistency, backupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseIncarnation, parseOperationId } from '../domain/ids.js';
import { workflowIds } from '../domain/naming.js';
import { schemasOf } from '../registry/schemas.js';
import { requireTenant } from '../registry/tenants.js';
import type { Connections } from './connections.js';
import type { OperationHandle } from './operations.js';

export interface BackupRequest {
  readonly tenant: TenantId;
  readonly consistency: Consistency;
  readonly reason: string;
}

export interface VerifyRequest {
  readonly backup: BackupId;
  readonly sample?: { readonly n: number; readonly t: number } | undefined;
  readonly reason: string;
}

export interface RestoreRequest {
  readonly backup: BackupId;
  /** Another tenant than the backup's. */
  readonly into?: TenantId | undefined;
  readonly replace: boolean;
  readonly preview: boolean;
  readonly overrideQuarantine: boolean;
  readonly reason: string;
}

export interface DrillRequest {
  readonly tenant: TenantId;
  /** The newest complete one when left out. */
  readonly backup?: BackupId | undefined;
  readonly reason: string;
}

/** Backups: make, verify, restore, prove. */
export class BackupClient {
  constructor(private readonly connections: Connections) {}

  /** What a backup would have in it. @throws OpsError as {@link create} */
  async plan({
    tenant,
    consistency,
  }: Omit<BackupRequest, 'reason'>): Promise<Omit<BackupRequest, 'reason'> & { schemas: string[] }> {
    const { pool } = this.connections;
    await this.connections.authorize('backup create', tenant);
    const { incarnation } = await requireTenant(pool, tenant, 'backup');
    const schemas = (await schemasOf(pool, incarnation)).map(({ schemaName }) => schemaName);
    return { tenant, consistency, schemas };
  }

  /** @throws OpsError `NotFound`, `WrongState`, `PermissionDenied` */
  async create({ tenant, consistency, reason }: BackupRequest): Promise<OperationHandle<BackupTenantResult>> {
    await this.connections.authorize('backup create', tenant);
    const asked = this.asked();
    await requireTenant(this.connections.pool, tenant, 'backup');
    const backup = backupId(new Date(), randomBytes(4).toString('hex'));
    const input: BackupTenantInput = checkInput(backupTenantInput, {
      ...{ ...asked, tenant, backup, consistency, reason },
    });
    return this.connections.start(
      {
        kind: 'backupTenant',
        workflowId: workflowIds.backup(tenant, backup),
        ...{ tenant, operation: asked.operation, reason },
        summary: `back up ${tenant} as ${backup}`,
        priority: 4,
      },
      input,
    );
  }

  /** @throws OpsError `NotFound`, `WrongState`, `PermissionDenied` */
  async verify({ backup, sample, reason }: VerifyRequest): Promise<OperationHandle<VerifyBackupResult>> {
    const tenant = await this.tenantOf(backup, 'backup verify');
    const asked = this.asked();
    const input: VerifyBackupInput = checkInput(verifyBackupInput, {
      ...{ ...asked, backup, reason },
      ...(sample ? { sample } : {}),
    });
    return this.connections.start(
      {
        kind: 'verifyBackup',
        workflowId: workflowIds.verifyBackup(tenant, asked.operation),
        ...{ tenant, operation: asked.operation, reason },
        summary: `verify backup ${backup} of ${tenant}`,
        priority: 4,
      },
      input,
    );
  }

  /** @throws OpsError `NotFound`, `WrongState`, `PermissionDenied`, `Conflict` while another restore into it runs */
  async restore(request: RestoreRequest): Promise<OperationHandle<RestoreTenantResult>> {
    const { backup, into, replace, preview, overrideQuarantine, reason } = request;
    const owner = await this.tenantOf(backup, 'backup restore');
    const tenant = into ?? owner;
    if (tenant !== owner) await this.connections.authorize('backup restore --into', tenant);
    const asked = this.asked();
    const input: RestoreTenantInput = checkInput(restoreTenantInput, {
      ...{ ...asked, tenant, backup, replace, preview, reason },
      ...(overrideQuarantine ? { overrideQuarantine } : {}),
      incarnation: parseIncarnation(randomUUID()),
      cluster: this.connections.settings.vespaCluster,
    });
    return this.connections.start(
      {
        kind: 'restoreTenant',
        workflowId: workflowIds.restore(tenant),
        ...{ tenant, operation: asked.operation, reason },
        summary: `${preview ? 'preview of a restore of' : 'restore'} ${backup} into ${tenant}`,
        priority: 3,
      },
      input,
    );
  }

  /**
   * Whose backup it is, for who may do this with it.
   *
   * @throws OpsError `NotFound`, `PermissionDenied`: to a principal of one tenant the same of another's and of none
   */
  async tenantOf(backup: BackupId, verb: Verb = 'backup list'): Promise<TenantId> {
    const { pool, principalTenant } = this.connections;
    await this.connections.authorize(verb);
    const row = await findBackup(pool, backup);
    if (row?.tenant === undefined) {
      if (principalTenant === undefined) throw noSuchBackup(backup);
      return this.connections.denyTo(principalTenant, verb);
    }
    await this.connections.authorize(verb, row.tenant);
    return row.tenant;
  }

  /** Which backup `drill` would restore. @throws OpsError as that */
  async planDrill({ tenant, backup }: Omit<DrillRequest, 'reason'>): Promise<BackupId> {
    await this.connections.authorize('backup drill', tenant);
    const owner = backup === undefined ? tenant : await this.tenantOf(backup, 'backup drill');
    if (owner !== tenant) throw new OpsError('NotFound', `backup ${backup} is none of tenant ${tenant}`);
    return drilledBackup(this.connections.pool, tenant, backup);
  }

  /** @throws OpsError `NotFound`, `PermissionDenied` */
  async drill({ tenant, backup, reason }: DrillRequest): Promise<OperationHandle<DrillRestoreResult>> {
    await this.connections.authorize('backup drill', tenant);
    if (backup !== undefined) await this.tenantOf(backup, 'backup drill');
    const asked = this.asked();
    const input: DrillRestoreInput = checkInput(drillRestoreInput, {
      ...{ ...asked, tenant, reason },
      ...(backup ? { backup } : {}),
      cluster: this.connections.settings.vespaCluster,
    });
    return this.connections.start(
      {
        kind: 'drillRestore',
        workflowId: workflowIds.drill(tenant, asked.operation),
        ...{ tenant, operation: asked.operation, reason },
        summary: `restore drill of ${tenant}`,
        priority: 5,
      },
      input,
    );
  }

  private asked() {
    return { operation: parseOperationId(randomUUID()), ...this.connections.asker };
  }
}
