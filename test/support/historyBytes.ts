import type { Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';

/** The raw bytes of all histories of a namespace: payloads, failures, headers, memos, whatever is in them. */
export async function historiesOf(client: Client): Promise<Map<string, Buffer>> {
  const histories = new Map<string, Buffer>();
  for await (const { workflowId, runId } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const bytes = temporal.api.history.v1.History.encode(history).finish();
    histories.set(`${workflowId} ${runId}`, Buffer.from(bytes));
  }
  return histories;
}
