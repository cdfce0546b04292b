import type { Client } from '@temporalio/client';
import proto, { type temporal } from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;

export interface StoredHistory {
  readonly history: temporal.api.history.v1.IHistory;
  /** As the server sends it: payloads, failures, headers, memos, whatever is in it. */
  readonly bytes: Buffer;
}

/** All histories of a client's namespace, by workflow and run. No memo is decoded for it, which may want keys. */
export async function historiesOf(client: Client): Promise<Map<string, StoredHistory>> {
  const { namespace } = client.options;
  const histories = new Map<string, StoredHistory>();
  const { executions } = await client.workflowService.listWorkflowExecutions({ namespace, pageSize: 1000 });
  for (const { execution } of executions) {
    const { workflowId, runId } = execution!;
    const history = await client.workflow.getHandle(workflowId!, runId!).fetchHistory();
    histories.set(`${workflowId} ${runId}`, {
      history,
      bytes: Buffer.from(History.encode(history).finish()),
    });
  }
  return histories;
}

interface JsonPayload {
  readonly metadata: Readonly<Record<string, string>>;
  readonly data?: string;
}

/** Every payload, wherever it is in the history, but those of headers and search attributes: no codec sees them. */
export function payloadsIn(history: temporal.api.history.v1.IHistory): JsonPayload[] {
  const json = History.toObject(History.fromObject(history), { bytes: String, longs: String, enums: String });
  const found: JsonPayload[] = [];
  const visit = (value: unknown, name = ''): void => {
    if (value === null || typeof value !== 'object' || name === 'header' || name === 'searchAttributes')
      return;
    const { metadata } = value as { metadata?: Record<string, unknown> };
    if (typeof metadata?.['encoding'] === 'string') found.push(value as JsonPayload);
    else for (const [key, inner] of Object.entries(value)) visit(inner, key);
  };
  visit(json);
  return found;
}
