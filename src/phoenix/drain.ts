import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type PhoenixClient, PhoenixError, requireStatus } from './client.js';
import { spanPage } from './storedSpans.js';

/** Nobody's project: holds a sentinel for as long as a drain takes. */
export const BARRIER_PROJECT = '_barrier';

/**
 * Waits until Phoenix has stored every span it had accepted before this call. Its queue is in memory and first in, first
 * out, so a sentinel span that is sent now and found stored says that all before it are. Without that, a deleted project
 * comes back with what was still queued.
 *
 * @throws PhoenixError when the sentinel does not arrive in `timeoutMs`, or the queue is full
 */
export async function drainSpans(
  phoenix: PhoenixClient,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const spanId = randomBytes(8).toString('hex');
  const now = new Date().toISOString();
  const sentinel = {
    name: 'drain',
    context: { trace_id: randomBytes(16).toString('hex'), span_id: spanId },
    span_kind: 'CHAIN',
    start_time: now,
    end_time: now,
    status_code: 'OK',
    attributes: {},
  };
  const path = `/v1/projects/${BARRIER_PROJECT}/spans`;
  requireStatus(await phoenix.send('POST', path, { data: [sentinel] }), 202);
  const deadline = Date.now() + options.timeoutMs;
  for (;;) {
    const page = await spanPage(phoenix, BARRIER_PROJECT, { spanId, limit: 1 });
    if (page !== undefined && page.spans.length > 0) break;
    options.signal?.throwIfAborted();
    if (Date.now() > deadline)
      throw new PhoenixError(0, `Phoenix did not store a span within ${options.timeoutMs / 1000} s`);
    await delay(250);
  }
  requireStatus(await phoenix.send('DELETE', `/v1/spans/${spanId}`), 204, 404);
}
