import { CancellationScope, ParentClosePolicy, executeChild, uuid4 } from '@temporalio/workflow';
import type {
  DrillRestoreInput,
  DrillRestoreResult,
  RestoreTenantResult,
} from '../src/contracts/backupOperations.js';
import type { BackupId } from '../src/domain/backups.js';
import { type Incarnation, type TenantId, parseIncarnation, parseOperationId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { endingOf, failureRecord, thrownFor } from './failures.js';
import { hardDeleteTenant } from './hardDeleteTenant.js';
import { noteState } from './operationState.js';
import { drills, titled } from './options.js';
import { Progress } from './progress.js';
import { restoreTenant } from './restoreTenant.js';
import { versioned } from './versioning.js';

/** Between the two looks at the throw-away tenant that is gone. */
const SECOND_LOOK_SECONDS = 5;

/**
 * Proves a backup: restores it into a throw-away tenant, which reads everything back and compares it, and deletes that
 * tenant for good, whether or not it could be restored.
 */
export async function drillRestore(input: DrillRestoreInput): Promise<DrillRestoreResult> {
  const { tenant, operation } = input;
  const { backup, into } = await titled(drills.beginDrill, tenant, input).catch((error: unknown) => {
    throw thrownFor(error);
  });
  const steps = new Progress(`Restore drill of tenant \`${tenant}\`: backup \`${backup}\` into \`${into}\``);
  const incarnation = parseIncarnation(uuid4());
  try {
    const restored = await steps.step(
      'restore',
      () =>
        restore(input, backup, into, incarnation).finally(() =>
          CancellationScope.nonCancellable(() =>
            steps.step('delete the throw-away tenant', () => drop(input, into, incarnation)),
          ),
        ),
      ({ documents, memories, spans }) =>
        `${documents} documents, ${memories} memories, ${spans} spans, all equal`,
    );
    const { documents, memories, spans } = restored;
    await titled(drills.finishDrill, 'proven', { operation, backup, documents, memories, spans });
    noteState('completed');
    return { backup, tenant, into, documents, memories, spans, operation };
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the drill was cancelled');
      await titled(drills.failDrill, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', drillRestore);

function restore(
  { cluster, principal, operation: drill }: DrillRestoreInput,
  backup: BackupId,
  into: TenantId,
  incarnation: Incarnation,
): Promise<RestoreTenantResult> {
  const operation = parseOperationId(uuid4());
  const reason = `restore drill ${drill}`;
  return executeChild(restoreTenant, {
    ...operationMarks({
      kind: 'restoreTenant',
      workflowId: workflowIds.restore(into),
      ...{ tenant: into, operation, principal, reason },
      summary: `restore ${backup} into ${into}`,
      priority: 4,
    }),
    args: [
      {
        ...{ tenant: into, operation, incarnation, backup, cluster, principal, reason },
        replace: false,
        preview: false,
      },
    ],
  });
}

/** A tenant that was never made is gone. */
async function drop(
  { cluster, principal, operation: drill }: DrillRestoreInput,
  into: TenantId,
  incarnation: Incarnation,
): Promise<void> {
  const operation = parseOperationId(uuid4());
  const reason = `restore drill ${drill}`;
  try {
    await executeChild(hardDeleteTenant, {
      ...operationMarks({
        kind: 'hardDeleteTenant',
        workflowId: workflowIds.purge(into),
        ...{ tenant: into, operation, principal, reason },
        summary: `delete ${into} for good`,
        priority: 4,
      }),
      // A purge of the original ends what takes too long, and the copy must not stay.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [
        {
          ...{ tenant: into, incarnation, operation, cluster, principal, reason },
          trigger: 'requested',
          rehearsal: null,
          secondLookSeconds: SECOND_LOOK_SECONDS,
        },
      ],
    });
  } catch (error) {
    if (failureRecord(error).code !== 'NotFound') throw error;
  }
}
