import { randomBytes, randomUUID } from 'node:crypto';
import { type Attributes, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { type TenantId, parseIncarnation } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import type { Destination } from '../../src/telemetry/destination.js';
import { Telemetry, type TelemetryOptions } from '../../src/telemetry/telemetry.js';

/** A tenant's destination as the registry would give it. */
export function destinationFor(tenant: TenantId): Destination {
  return {
    tenant,
    incarnation: parseIncarnation(randomUUID()),
    project: phoenixProjectName(tenant),
    livesSince: 0,
  };
}

/** Telemetry whose registry is this list; what is not in it gets nothing. */
export function telemetryTo(
  phoenixUrl: string,
  destinations: readonly Destination[],
  options: Partial<TelemetryOptions> = {},
): Telemetry {
  const known = new Map(destinations.map((each) => [each.tenant, each]));
  return new Telemetry({ phoenixUrl, destinationOf: async (tenant) => known.get(tenant), ...options });
}

export interface MadeSpan {
  readonly name?: string;
  readonly startedAt?: Date;
  readonly durationMs?: number;
  readonly attributes?: Attributes;
  /** Its status message. */
  readonly error?: string;
  readonly traceId?: string;
  readonly spanId?: string;
  readonly parentId?: string;
}

/** A span that ended elsewhere, with times and ids of the test's choice; a search when nothing is said. */
export function madeSpan(made: MadeSpan = {}): ReadableSpan {
  const start = (made.startedAt ?? new Date()).getTime();
  const ids = {
    traceId: made.traceId ?? randomBytes(16).toString('hex'),
    traceFlags: TraceFlags.SAMPLED,
  };
  const context = { ...ids, spanId: made.spanId ?? randomBytes(8).toString('hex') };
  const durationMs = made.durationMs ?? 25;
  return {
    name: made.name ?? 'search_service.search',
    kind: SpanKind.INTERNAL,
    spanContext: () => context,
    ...(made.parentId === undefined ? {} : { parentSpanContext: { ...ids, spanId: made.parentId } }),
    startTime: hrTime(start),
    endTime: hrTime(start + durationMs),
    duration: hrTime(durationMs),
    ended: true,
    status: made.error === undefined ? { code: SpanStatusCode.OK } : error(made.error),
    attributes: { 'openinference.span.kind': 'CHAIN', 'operation.name': 'search', ...made.attributes },
    events: [],
    links: [],
    resource: resourceFromAttributes({}),
    instrumentationScope: { name: 'tests' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

function error(message: string) {
  return { code: SpanStatusCode.ERROR, message };
}

function hrTime(milliseconds: number): [number, number] {
  const seconds = Math.floor(milliseconds / 1000);
  return [seconds, Math.round((milliseconds - seconds * 1000) * 1e6)];
}
