import {
  CancellationScope,
  ContinueAsNew,
  continueAsNew,
  isCancellation,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import type {
  PruneBackupsInput,
  PruneBackupsResult,
  PruneState,
  Unremoved,
} from '../src/contracts/backupKeeping.js';
import type { BackupId } from '../src/domain/backups.js';
import { endingOf, failureRecord } from './failures.js';
import { noteState } from './operationState.js';
import { pruneRemoval, pruning, titled } from './options.js';
import { versioned } from './versioning.js';

/** A page of removals is some 600 events. */
const MAX_HISTORY = 1_000;
const MAX_UNREMOVED = 20;
const MAX_REASON = 400;

/**
 * Removes the backups of a tenant that its policy does not keep, oldest first, one after the other: what is removed is
 * always the worst of what is there. One that cannot go now (held or in use since the plan, its store silent) stays for
 * the next prune, and the others go on.
 */
export async function pruneBackups(start: PruneBackupsInput | PruneState): Promise<PruneBackupsResult> {
  const resumed = 'version' in start ? start : undefined;
  const input = 'version' in start ? start.input : start;
  const { tenant, operation, policy } = input;
  const now = resumed?.now ?? new Date().toISOString();
  let after = resumed?.after ?? null;
  let { removed, objects, bytes, failed } = resumed ?? { removed: 0, objects: 0, bytes: 0, failed: 0 };
  const unremoved: Unremoved[] = [...(resumed?.unremoved ?? [])];
  const show = (doing: string): void =>
    setCurrentDetails(
      `**Prune the backups of \`${tenant}\`**: ${doing}\n\n- **${removed}** removed: ${objects} objects, ${bytes} bytes\n` +
        `- **${failed}** stay that were to go${unremoved.map(({ backup, why }) => `\n  - ${backup}: ${why}`).join('')}`,
    );
  const removeOne = async (backup: BackupId, why: string): Promise<void> => {
    show(`removes ${backup}`);
    try {
      const gone = await titled(pruneRemoval.removeBackup, `${backup}: ${why}`.slice(0, 150), {
        operation,
        backup,
        why,
      });
      removed++;
      objects += gone.objects;
      bytes += gone.bytes;
    } catch (error) {
      if (isCancellation(error)) throw error;
      failed++;
      const { message } = failureRecord(error);
      if (unremoved.length < MAX_UNREMOVED) unremoved.push({ backup, why: message.slice(0, MAX_REASON) });
    }
  };

  try {
    show('begins');
    if (resumed === undefined) await titled(pruning.beginPrune, JSON.stringify(policy).slice(0, 150), input);
    for (let more = true; more;) {
      const page = await titled(pruning.planPrune, 'what is to go', { tenant, policy, now, after });
      for (const { backup, why } of page.remove) {
        await removeOne(backup, why);
        after = backup;
      }
      more = page.more;
      if (more && after !== null && workflowInfo().historyLength > MAX_HISTORY)
        await continueAsNew<typeof pruneBackups>({
          ...{ version: 1, input, now, after, removed, objects, bytes, failed, unremoved },
        });
    }
    const counts = { removed, objects, bytes, failed, unremoved };
    const result = await titled(pruning.finishPrune, 'count', { tenant, operation, ...counts });
    show(`done, ${result.kept} kept`);
    noteState(failed > 0 ? 'completed_with_failures' : 'completed');
    return result;
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    const { state, failure, thrown } = endingOf(error, 'the prune was cancelled; what it removed is gone');
    await CancellationScope.nonCancellable(async () => {
      await titled(pruning.failPrune, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
    });
    throw thrown;
  }
}
versioned('PINNED', pruneBackups);
