import { randomUUID } from 'node:crypto';
import { ownBackup } from '../backup/ownership.js';
import { planPrune } from '../backup/prune.js';
import { type PruneBackupsResult, pruneBackupsInput } from '../contracts/backupKeeping.js';
import { checkInput, reason as reasonText } from '../contracts/common.js';
import type { BackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseOperationId } from '../domain/ids.js';
import { type KeepPolicy, type KeepVerdict, requireKeepPolicy } from '../domain/keepPolicy.js';
import { workflowIds } from '../domain/naming.js';
import { appendAudit } from '../registry/audit.js';
import { holdBackup, releaseBackup, tenantsWithBackups } from '../registry/backupKeeping.js';
import { type BackupRow, type BackupState, folderOf, listBackups } from '../registry/backups.js';
import { type Queryable, transaction } from '../registry/database.js';
import { getTenant } from '../registry/tenants.js';
import type { Connections } from './connections.js';
import type { OperationHandle } from './operations.js';

const PAGE = 1000;

/** A backup as `backup list` shows it. Times in ISO 8601. */
export interface BackupSummary extends Pick<
  BackupRow,
  'backup' | 'tenant' | 'documents' | 'spans' | 'memories' | 'bytes' | 'startedAt' | 'endedAt'
> {
  readonly state: BackupState;
  /** Achieved; until it is complete, what was asked for. */
  readonly consistency: BackupRow['consistencyAsked'];
  readonly verifiedAt: string | null;
  readonly sound: boolean | null;
  readonly provenAt: string | null;
  readonly hold: string | null;
  /** Store and folder. */
  readonly path: string;
}

/** Which backups there are, which are held, and which go. */
export class BackupKeepingClient {
  constructor(private readonly connections: Connections) {}

  /** Of one tenant or of all, newest first. @throws OpsError `NotFound` */
  async list(tenant: TenantId | undefined, options: { readonly removed: boolean }): Promise<BackupSummary[]> {
    const { pool } = this.connections;
    tenant = await this.connections.authorizeList('backup list', tenant);
    if (tenant !== undefined) await getTenant(pool, tenant);
    const all: BackupSummary[] = [];
    let after: BackupId | undefined;
    do {
      const page = await listBackups(pool, { tenant, after, limit: PAGE });
      all.push(...page.filter(({ state }) => options.removed || state !== 'removed').map(summary));
      after = page.length === PAGE ? page.at(-1)!.backup : undefined;
    } while (after !== undefined);
    return all;
  }

  /** Keeps a backup whatever a policy says. @throws OpsError `InvalidInput` without a reason, `NotFound`, `WrongState` */
  async hold(backup: BackupId, reason: string, dryRun = false): Promise<BackupSummary> {
    await this.connections.authorize('backup hold');
    return this.change('hold-backup', backup, reason, dryRun, (tx, said) => holdBackup(tx, backup, said));
  }

  /** @throws OpsError `InvalidInput` without a reason, `NotFound`, `WrongState` when it is not held */
  async release(backup: BackupId, reason: string, dryRun = false): Promise<BackupSummary> {
    await this.connections.authorize('backup release');
    return this.change('release-backup', backup, reason, dryRun, (tx) => releaseBackup(tx, backup));
  }

  /** Whom a prune of all is for. */
  async tenants(): Promise<TenantId[]> {
    await this.connections.authorize('backup prune --all');
    return tenantsWithBackups(this.connections.pool);
  }

  /** What `prune` would do now, newest first. @throws OpsError `InvalidInput`, `NotFound` */
  async plan(tenant: TenantId, policy: KeepPolicy): Promise<KeepVerdict[]> {
    const { pool } = this.connections;
    await this.connections.authorize('backup prune', tenant);
    requireKeepPolicy(policy);
    await getTenant(pool, tenant);
    return planPrune(pool, tenant, policy, new Date());
  }

  /** @throws OpsError `InvalidInput` for an empty policy, `NotFound`, `Conflict` while one runs */
  async prune(
    tenant: TenantId,
    policy: KeepPolicy,
    reason: string,
  ): Promise<OperationHandle<PruneBackupsResult>> {
    const { pool, asker } = this.connections;
    await this.connections.authorize('backup prune', tenant);
    const operation = parseOperationId(randomUUID());
    requireKeepPolicy(policy);
    await getTenant(pool, tenant);
    const input = checkInput(pruneBackupsInput, {
      ...{ tenant, operation, policy, ...asker, reason },
    });
    return this.connections.start(
      {
        ...{ kind: 'pruneBackups', workflowId: workflowIds.prune(tenant), tenant, operation, reason },
        ...{ summary: `prune the backups of ${tenant}`, priority: 3 },
      },
      input,
    );
  }

  /** With its audit entry, or not at all. */
  private async change(
    verb: string,
    backup: BackupId,
    reason: string,
    dryRun: boolean,
    move: (tx: Queryable, reason: string) => Promise<BackupRow>,
  ): Promise<BackupSummary> {
    const said = checkInput(reasonText, reason.trim());
    if (said === '')
      throw new OpsError('InvalidInput', 'a hold is set and released for a reason', 'give it with --reason');
    const { principal } = this.connections;
    const undone = new Error('a dry run');
    let row: BackupRow | undefined;
    await transaction(this.connections.pool, async (tx) => {
      await ownBackup(tx, this.connections.principalTenant, backup);
      row = await move(tx, said);
      if (dryRun) throw undone;
      const { tenant, hold } = row;
      const detail = { backup, hold };
      await appendAudit(tx, { principal, verb, tenant, outcome: 'completed', reason: said, detail });
    }).catch((error: unknown) => {
      if (error !== undone) throw error;
    });
    return summary(row!);
  }
}

function summary(row: BackupRow): BackupSummary {
  const { backup, tenant, state, documents, spans, memories, bytes } = row;
  const { startedAt, endedAt, verifiedAt, sound, provenAt, hold } = row;
  return {
    ...{ backup, tenant, state, consistency: row.consistency ?? row.consistencyAsked },
    ...{ documents, spans, memories, bytes, startedAt, endedAt, verifiedAt, sound, provenAt, hold },
    path: `${row.store}/${folderOf(row)}`,
  };
}
