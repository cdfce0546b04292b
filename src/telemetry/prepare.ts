import type { Attributes, AttributeValue, SpanContext } from '@opentelemetry/api';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { toolVersion } from '../version.js';
import { type Destination, storedIds } from './destination.js';
import { cleanText, safeMessage } from './safeText.js';

/** Characters of one text; inputs and outputs may be whole documents. */
export const MAX_TEXT = 32_768;
const MAX_ITEMS = 128;
const MAX_NAME = 200;
/** A creation's first spans are a little older than the registry's row. */
const BEFORE_LIFE_MS = 60_000;

export function resourceOf(project: string): Resource {
  return resourceFromAttributes({
    'service.name': 'cogniverse-ops',
    'service.version': toolVersion,
    'openinference.project.name': project,
  });
}

/**
 * A span as it is sent: with the ids, the project and the marks of its tenant's life, every text bounded and valid, errors
 * without secrets. All spans pass here, whoever made them.
 *
 * @returns undefined for a span that is of another life of the tenant
 */
export function prepareSpan(
  span: ReadableSpan,
  destination: Destination,
  resource: Resource,
): ReadableSpan | undefined {
  const { tenant, incarnation, livesSince } = destination;
  const given = span.attributes['incarnation'];
  const isOther =
    given === undefined ? millis(span.endTime) < livesSince - BEFORE_LIFE_MS : given !== incarnation;
  if (isOther) return undefined;
  const own = (context: SpanContext): SpanContext => ({
    ...storedIds(incarnation, context),
    traceFlags: context.traceFlags,
  });
  const context = own(span.spanContext());
  return {
    name: cleanText(span.name, MAX_NAME),
    kind: span.kind,
    spanContext: () => context,
    ...(span.parentSpanContext ? { parentSpanContext: own(span.parentSpanContext) } : {}),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    ended: span.ended,
    status: {
      code: span.status.code,
      ...(span.status.message ? { message: safeMessage(span.status.message) } : {}),
    },
    attributes: { ...cleanAttributes(span.attributes), ...marks(span.attributes, destination) },
    // What was thrown, but no stack: it names files of the machine.
    events: span.events.map(({ name, time, attributes }) => ({
      name: cleanText(name, MAX_NAME),
      time,
      attributes: eventAttributes(attributes ?? {}),
    })),
    links: [],
    resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount + span.links.length,
  };

  function marks(attributes: Attributes, { tenant, incarnation }: Destination): Attributes {
    const session = attributes['session.id'];
    return {
      tenant_id: tenant,
      'tenant.id': tenant,
      incarnation,
      ...(typeof session === 'string' ? { 'session.id': ownSession(session) } : {}),
    };
  }

  /** Session ids are global in Phoenix too: two tenants' equal ones would be one session, deleted together. */
  function ownSession(session: string): string {
    const clean = cleanText(session, MAX_NAME * 2);
    return clean.startsWith(`${tenant}:`) ? clean : `${tenant}:${clean}`;
  }
}

function cleanAttributes(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([key, value]) => key !== '' && value !== undefined)
      .slice(0, MAX_ITEMS)
      .map(([key, value]) => [cleanText(key, MAX_NAME), cleanValue(value!)]),
  );
}

function cleanValue(value: AttributeValue): AttributeValue {
  if (typeof value === 'string') return cleanText(value, MAX_TEXT);
  if (!Array.isArray(value)) return value;
  return value
    .slice(0, MAX_ITEMS)
    .map((item: unknown) =>
      typeof item === 'string' ? cleanText(item, MAX_TEXT / MAX_ITEMS) : item,
    ) as AttributeValue;
}

function eventAttributes({ 'exception.stacktrace': _, ...attributes }: Attributes): Attributes {
  const message = attributes['exception.message'];
  return {
    ...cleanAttributes(attributes),
    ...(typeof message === 'string' ? { 'exception.message': safeMessage(message) } : {}),
  };
}

function millis([seconds, nanos]: ReadableSpan['endTime']): number {
  return seconds * 1000 + nanos / 1e6;
}
