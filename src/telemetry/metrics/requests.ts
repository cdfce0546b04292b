import type { PhoenixClient } from '../../phoenix/client.js';
import { type SpanFilter, type StoredSpan, readSpans } from '../../phoenix/storedSpans.js';
import { REQUEST, STEP } from '../request.js';
import type { Request } from './tally.js';

/** What counts as a query of a tenant. */
export const QUERY_KIND = 'search';

/**
 * Every request of a tenant that began in a time, page by page. A request is a span marked as one (`src/telemetry/request.ts`),
 * or one without a parent that somebody else sent: that is taken for a search. Steps of operations are none.
 */
export async function* readRequests(
  phoenix: PhoenixClient,
  project: string,
  range: Pick<SpanFilter, 'from' | 'to'>,
): AsyncGenerator<Request> {
  for await (const span of readSpans(phoenix, project, { ...range, roots: true })) {
    const kind = span.attributes['operation.name'] ?? QUERY_KIND;
    if (kind !== STEP) yield requestOf(span, String(kind));
  }
  const [mark, value] = Object.entries(REQUEST)[0] as [string, string];
  for await (const span of readSpans(phoenix, project, { ...range, attribute: [mark, value] }))
    if (span.parent_id) yield requestOf(span, String(span.attributes['operation.name']));
}

function requestOf(span: StoredSpan, kind: string): Request {
  const startedAt = micros(span.start_time);
  return {
    kind,
    startedAt: startedAt / 1000,
    // A clock that was set back in between.
    durationMs: Math.max(0, micros(span.end_time) - startedAt) / 1000,
    failed: span.status_code === 'ERROR',
  };
}

/** Microseconds since the epoch: `Date` would round what Phoenix keeps to milliseconds. */
export function micros(iso: string): number {
  const fraction = /\.(\d+)/.exec(iso)?.[1] ?? '';
  const whole = Date.parse(iso.replace(/\.\d+/, ''));
  return whole * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}
