import { CancellationScope, executeChild, uuid4 } from '@temporalio/workflow';
import type {
  DrillRestoreInput,
  DrillRestoreResult,
  RestoreTenantResult,
} from '../src/contracts/backupOperations.js';
import type { BackupId } from '../src/domain/backups.js';
import { type Incarnation, type TenantId, parseIncarnation, parseOperationId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { endingOf, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { drills, titled } from './options.js';
import { Progress } from './progress.js';
import { restoreTenant } from './restoreTenant.js';
import { dropThrowAway } from './throwAway.js';
import { versioned } from './versioning.js';

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
  const asked = { cluster: input.cluster, principal: input.principal, reason: `restore drill ${operation}` };
  try {
    const restored = await steps.step(
      'restore',
      () =>
        restore(input, backup, into, incarnation).finally(() =>
          CancellationScope.nonCancellable(() =>
            steps.step('delete the throw-away tenant', () => dropThrowAway(asked, into, incarnation)),
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
