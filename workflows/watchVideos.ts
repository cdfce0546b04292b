import {
  ParentClosePolicy,
  executeChild,
  isCancellation,
  setCurrentDetails,
  upsertMemo,
  uuid4,
} from '@temporalio/workflow';
import type { IngestVideosInput } from '../src/contracts/ingest.js';
import type { WatchVideosInput, WatchVideosResult } from '../src/contracts/watches.js';
import { INGEST_PRIORITY } from '../src/domain/fairness.js';
import type { OperationId } from '../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { failureRecord, operationFailure } from './failures.js';
import type { ingestVideos } from './ingestVideos.js';
import { noteState } from './operationState.js';
import { ingestListing, retention, titled } from './options.js';
import { versioned } from './versioning.js';

/**
 * One round of a watch, started by its schedule: looks whether anything in the source is new or changed, and if so
 * ingests that as an operation of its own. It ends when the ingest has, so that the schedule, which skips a round while
 * one runs, never has two at the same videos.
 */
export async function watchVideos(input: WatchVideosInput): Promise<WatchVideosResult> {
  try {
    show(input, 'looks for new and changed videos');
    const result = await round(input);
    end(input, result);
    return result;
  } catch (error) {
    if (isCancellation(error)) {
      noteState('cancelled');
      throw error;
    }
    const failure = failureRecord(error);
    // Refused for the state of the tenant: no fault of the watch, and its next round may find it open again.
    if (failure.code === 'WrongState') {
      const result = { outcome: 'skipped', changed: 0, why: failure.message } as const;
      end(input, result);
      return result;
    }
    show(input, `failed: ${failure.message}`);
    upsertMemo({ why: failure.message.slice(0, 500) });
    noteState('failed');
    throw operationFailure(failure);
  }
}
versioned('PINNED', watchVideos);

async function round(input: WatchVideosInput): Promise<WatchVideosResult> {
  const { tenant, incarnation, source, profile, settleSeconds } = input;
  const { state } = await titled(retention.readRetention, 'is the tenant open?', { tenant, incarnation });
  // Of a former life it says `purged`, whoever bears the name by now.
  if (state !== 'active')
    return { outcome: 'skipped', changed: 0, why: `this life of tenant ${tenant} is ${state}` };

  const { changed } = await titled(ingestListing.findChanges, source.slice(-150), {
    tenant,
    incarnation,
    source,
    profile,
    unattended: { settleSeconds },
  });
  if (changed === 0) return { outcome: 'unchanged', changed };

  const operation = uuid4() as OperationId;
  // Told by the schedule's list before the ingest ends.
  upsertMemo({ operation });
  show(input, `${changed} new or changed, ingested by operation \`${operation}\``);
  const { videos, documents } = await ingest(input, operation);
  return { outcome: 'ingested', changed, operation, videos, documents };
}

function ingest(watch: WatchVideosInput, operation: OperationId) {
  const { tenant, incarnation, name, source, profile, concurrency, settleSeconds } = watch;
  const by = { principal: `schedule:${name}`, reason: `watch ${name}: new or changed videos` };
  const args: IngestVideosInput = {
    ...{ tenant, incarnation, operation, profile, source, concurrency, ...by },
    onlyChanged: true,
    unattended: { settleSeconds },
  };
  return executeChild<typeof ingestVideos>('ingestVideos', {
    ...operationMarks({
      ...by,
      kind: 'ingestVideos',
      workflowId: workflowIds.ingest(tenant, operation),
      tenant,
      operation,
      summary: `ingest into ${tenant}: ${profile}, found by watch ${name}`,
      priority: INGEST_PRIORITY,
    }),
    taskQueue: TASK_QUEUES.control,
    args: [args],
    // Terminated with its parent, its row would say for ever that it runs.
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
  });
}

function end(input: WatchVideosInput, result: WatchVideosResult): void {
  const { outcome, videos, why } = result;
  const failed = videos?.failed ?? 0;
  const state =
    outcome !== 'ingested' ? outcome : failed > 0 ? 'completed_with_failures' : ('completed' as const);
  if (why !== undefined) upsertMemo({ why: why.slice(0, 500) });
  noteState(state);
  const words = {
    unchanged: 'nothing is new or changed',
    skipped: `did nothing: ${why}`,
    ingested: `${videos?.stored ?? 0} stored, ${videos?.unchanged ?? 0} unchanged, ${failed} failed, by operation \`${result.operation}\``,
  };
  show(input, words[outcome]);
}

/** Where the Temporal UI shows it. */
function show({ name, tenant, source, profile, every }: WatchVideosInput, now: string): void {
  setCurrentDetails(
    `**Watch \`${name}\` of \`${tenant}\`** (${profile}): ${now}\n\n` +
      `- source: \`${source}\`\n- looks: ${every}`,
  );
}
