import { createHash } from 'node:crypto';
import type { SpanContext } from '@opentelemetry/api';
import type { Incarnation, TenantId } from '../domain/ids.js';

/** Where the spans of a tenant go: the project of its present life, from the registry. */
export interface Destination {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly project: string;
  /** Milliseconds since the epoch. */
  readonly livesSince: number;
}

/**
 * The ids that a span has in Phoenix. There trace and span ids are global: a span whose trace id is in another project
 * lands in that one, and a second span with a known id is lost. So each life of a tenant has its own: a trace that crosses
 * tenants becomes one trace in each project, and equal ids of two tenants can never meet.
 */
export function storedIds(
  incarnation: Incarnation,
  { traceId, spanId }: Pick<SpanContext, 'traceId' | 'spanId'>,
): { traceId: string; spanId: string } {
  return { traceId: derived(incarnation, traceId, 32), spanId: derived(incarnation, spanId, 16) };
}

function derived(incarnation: Incarnation, id: string, digits: number): string {
  return createHash('sha256').update(`${incarnation}/${id}`).digest('hex').slice(0, digits);
}
