import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ParentClosePolicy,
  executeChild,
  isCancellation,
  setCurrentDetails,
  upsertMemo,
  uuid4,
} from '@temporalio/workflow';
import type {
  BackupTenantInput,
  DrillRestoreInput,
  VerifyBackupInput,
  VerifyBackupResult,
} from '../src/contracts/backupOperations.js';
import type {
  PruneBackupsInput,
  PruneBackupsResult,
  ScheduledBackupInput,
  ScheduledBackupResult,
} from '../src/contracts/backupKeeping.js';
import { type BackupId, backupId } from '../src/domain/backups.js';
import type { OperationId, TenantId } from '../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { failureRecord, operationFailure } from './failures.js';
import { noteState } from './operationState.js';
import { retention, scheduledBackups, titled } from './options.js';
import { versioned } from './versioning.js';

/** Bulk work. */
const PRIORITY = 4;

/**
 * One run of a tenant's backup schedule: backs up, verifies, prunes, or restores the newest backup into a throw-away
 * tenant, as an operation of its own. It ends when that has, so that the schedule, which skips a run while one is under
 * way, never has two.
 */
export async function scheduledBackup(input: ScheduledBackupInput): Promise<ScheduledBackupResult> {
  try {
    show(input, 'begins');
    return end(input, await run(input));
  } catch (error) {
    if (isCancellation(error)) {
      noteState('cancelled');
      throw error;
    }
    if (error instanceof WorkflowExecutionAlreadyStartedError)
      return end(input, { outcome: 'skipped', why: 'one that was asked for by hand is under way' });
    const failure = failureRecord(error);
    // Refused for the state of the tenant or of the backup: its next run may find it otherwise.
    if (failure.code === 'WrongState') return end(input, { outcome: 'skipped', why: failure.message });
    show(input, `failed: ${failure.message}`);
    upsertMemo({ why: failure.message.slice(0, 500) });
    noteState('failed');
    throw operationFailure(failure);
  }
}
versioned('PINNED', scheduledBackup);

async function run(input: ScheduledBackupInput): Promise<ScheduledBackupResult> {
  const { tenant, incarnation, what } = input;
  const { state } = await titled(retention.readRetention, 'is the tenant open?', { tenant, incarnation });
  // Of a former life it says `purged`, whoever bears the name by now.
  if (state !== 'active') return { outcome: 'skipped', why: `this life of tenant ${tenant} is ${state}` };
  const operation = uuid4() as OperationId;
  const by = { operation, principal: `schedule:${what}`, reason: `scheduled ${what}, ${input.every}` };

  switch (input.what) {
    case 'backup': {
      const backup = backupId(new Date(), uuid4().slice(0, 8));
      await child(tenant, {
        kind: 'backupTenant',
        workflowId: workflowIds.backup(tenant, backup),
        summary: `back up ${tenant}`,
        args: { ...by, tenant, backup, consistency: input.consistency },
      });
      return { outcome: 'done', operation, backup };
    }
    case 'prune': {
      const { failed, removed } = await child<PruneBackupsResult>(tenant, {
        kind: 'pruneBackups',
        workflowId: workflowIds.prune(tenant),
        summary: `prune the backups of ${tenant}`,
        args: { ...by, tenant, policy: input.policy },
      });
      if (failed === 0) return { outcome: 'done', operation };
      return { outcome: 'done_with_failures', operation, why: `${removed} removed, ${failed} could not be` };
    }
    case 'verify':
    case 'drill': {
      const life = { tenant, incarnation };
      const { backup, verifications } = await titled(scheduledBackups.newestBackup, 'which one?', life);
      if (backup === null) return { outcome: 'skipped', why: `tenant ${tenant} has no complete backup yet` };
      if (input.what === 'verify') await verify(input, by, backup, verifications);
      else
        await child(tenant, {
          kind: 'drillRestore',
          workflowId: workflowIds.drill(tenant, operation),
          summary: `prove ${backup} by a restore`,
          args: { ...by, tenant, backup, cluster: input.cluster },
        });
      return { outcome: 'done', operation, backup };
    }
  }
}

/** @throws ApplicationFailure `VerificationFailed` when the backup is not sound: nobody reads the results of a schedule */
async function verify(
  input: ScheduledBackupInput & { readonly what: 'verify' },
  by: Pick<VerifyBackupInput, 'operation' | 'principal' | 'reason'>,
  backup: BackupId,
  verifications: number,
): Promise<void> {
  const { tenant, samples: t } = input;
  // In turns by how many there were: counted by days, a weekly one would see one sample of seven for ever.
  const sample = t === 1 ? {} : { sample: { n: 1 + (verifications % t), t } };
  const { ok, errors } = await child<VerifyBackupResult>(tenant, {
    kind: 'verifyBackup',
    workflowId: workflowIds.verifyBackup(tenant, by.operation),
    summary: `verify ${backup} of ${tenant}`,
    args: { ...by, backup, ...sample },
  });
  if (!ok)
    throw operationFailure({
      code: 'VerificationFailed',
      message: `backup ${backup} is not sound: ${errors[0] ?? 'see its operation'}`,
      hint: `see all of it with: cvops backup verify ${backup}`,
    });
}

/** An operation as any is started, but by its input's own type. */
type Child = { readonly workflowId: string; readonly summary: string } & (
  | { readonly kind: 'backupTenant'; readonly args: BackupTenantInput }
  | { readonly kind: 'verifyBackup'; readonly args: VerifyBackupInput }
  | { readonly kind: 'pruneBackups'; readonly args: PruneBackupsInput }
  | { readonly kind: 'drillRestore'; readonly args: DrillRestoreInput }
);

function child<Result>(tenant: TenantId, { kind, workflowId, summary, args }: Child): Promise<Result> {
  const { operation, principal, reason } = args;
  // Told by the schedule's list before it ends.
  upsertMemo({ operation });
  return executeChild(kind, {
    ...operationMarks({
      kind,
      workflowId,
      tenant,
      operation,
      principal,
      reason,
      summary,
      priority: PRIORITY,
    }),
    taskQueue: TASK_QUEUES.control,
    args: [args],
    // Terminated with its parent, its row would say for ever that it runs.
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
  }) as Promise<Result>;
}

function end(input: ScheduledBackupInput, result: ScheduledBackupResult): ScheduledBackupResult {
  const { outcome, why, operation } = result;
  const states = {
    done: 'completed',
    done_with_failures: 'completed_with_failures',
    skipped: 'skipped',
  } as const;
  if (why !== undefined) upsertMemo({ why: why.slice(0, 500) });
  noteState(states[outcome]);
  const did = outcome === 'skipped' ? 'did nothing' : `done by operation \`${operation}\``;
  show(input, why === undefined ? did : `${did}: ${why}`);
  return result;
}

/** Where the Temporal UI shows it. */
function show({ tenant, what, every }: ScheduledBackupInput, now: string): void {
  setCurrentDetails(`**Scheduled ${what} of \`${tenant}\`**: ${now}\n\n- every: ${every}`);
}
