import { setTimeout as delay } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Incarnation, OperationId } from '../domain/ids.js';
import type { OperationKind } from '../domain/states.js';
import type { Pool } from '../registry/database.js';
import { type OperationRow, finishOperation, runningOperations } from '../registry/operations.js';
import { isOpen } from './runs.js';

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1_000;

/** What an operation that was ended by force leaves in its row. */
const ENDED = { code: 'Conflict', message: 'its tenant is purged' } as const;

/** Rows of the retention workflow itself: it waits, and ends by itself when it sees the tenant's state. */
export const RETENTION_KINDS: readonly OperationKind[] = [
  'softDeleteTenant',
  'reactivateTenant',
  'extendRetention',
];

/** Asks workflows to stop; they clean up after themselves. One that has ended is left alone. */
export async function cancelOperations(client: Client, rows: readonly OperationRow[]): Promise<void> {
  for (const { workflowId } of rows) {
    try {
      await client.workflow.getHandle(workflowId).cancel();
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}

/**
 * Ends everything that runs for a life: asks it to stop, waits, and terminates what has not ended after `graceMs`. When
 * this returns nothing of the tenant's is written by an operation any more.
 */
export async function stopOperations(
  pool: Pool,
  client: Client,
  incarnation: Incarnation,
  options: { readonly except: OperationId; readonly graceMs: number; readonly signal: AbortSignal },
): Promise<{ stopped: number; terminated: number }> {
  const others = async () =>
    (await runningOperations(pool, incarnation)).filter(
      ({ operation, kind }) => operation !== options.except && !RETENTION_KINDS.includes(kind),
    );
  // Every purge of a tenant has one workflow id. A former one that was terminated has a row that still runs, and its
  // workflow is by now the one that asks.
  const workflows = async () => (await others()).filter(({ kind }) => kind !== 'hardDeleteTenant');
  const first = await workflows();
  await cancelOperations(client, first);
  const deadline = Date.now() + options.graceMs;
  let left: OperationRow[];
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(MAX_PAUSE_MS, pause * 1.5)) {
    left = [];
    for (const row of await workflows()) if (await isOpen(client, row.workflowId)) left.push(row);
    if (left.length === 0 || Date.now() > deadline) break;
    options.signal.throwIfAborted();
    await delay(pause);
  }
  for (const { workflowId } of left) await client.workflow.getHandle(workflowId).terminate(ENDED.message);
  // Their own last step has not come: the row must not say that it runs.
  for (const { operation } of await others())
    await finishOperation(pool, operation, { state: 'cancelled', error: ENDED });
  return { stopped: first.length, terminated: left.length };
}
