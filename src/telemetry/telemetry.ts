import { type Attributes, type Span, SpanStatusCode, type Tracer, context, trace } from '@opentelemetry/api';
import { AlwaysOnSampler, BasicTracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { TenantId } from '../domain/ids.js';
import { PhoenixClient, baseUrl } from '../phoenix/client.js';
import { openExporter } from '../phoenix/exporting.js';
import { spanPage } from '../phoenix/storedSpans.js';
import type { TenantLife } from '../registry/tenants.js';
import { SpanBudget, type SpanCounts } from './budget.js';
import { installContext } from './context.js';
import type { Destination } from './destination.js';
import { MAX_TEXT } from './prepare.js';
import { type QueueLink, type QueueTimes, SpanQueue } from './queue.js';
import { REQUEST, isWithinRequest, withinRequest } from './request.js';
import { safeMessage } from './safeText.js';
import { Turns } from './turns.js';

/** OpenInference's span kinds that are used here. */
export type SpanKind = 'CHAIN' | 'RETRIEVER' | 'EMBEDDING' | 'TOOL' | 'AGENT' | 'LLM' | 'EVALUATOR';

/** What code that does a tenant's work needs of telemetry. */
export interface Tracing {
  /**
   * Runs `fn` within a span of the tenant's own Phoenix project, as a child of the span around it, if any. What `fn`
   * throws is the span's error and is thrown on. Tracing itself never fails or slows it.
   *
   * @param name as `memory.search`; also the attribute `operation.name`, by which metrics tell kinds apart
   * @param attributes OpenInference's where it has them: `input.value`, `output.value`, `session.id` (the caller's own
   *   name: the tenant is put before it). `fn` adds what it learns by `span.setAttributes`
   */
  traced<T>(
    life: TenantLife,
    kind: SpanKind,
    name: string,
    attributes: Attributes,
    fn: (span: Span) => Promise<T>,
  ): Promise<T>;
}

export interface TelemetryOptions {
  /** May have a path, for a Phoenix behind a proxy. */
  readonly phoenixUrl: string;
  /** Bearer token, for a Phoenix with `PHOENIX_ENABLE_AUTH`. */
  readonly token?: string;
  /** Asked before each batch; undefined: nothing may be sent now, null: the tenant is not there yet. */
  readonly destinationOf: (tenant: TenantId) => Promise<Destination | null | undefined>;
  /** Tenants with a provider of their own at one time; 100 when not given. */
  readonly maxTenants?: number;
  /** Spans held at one time, over all tenants; 10,000 when not given. */
  readonly maxSpans?: number;
  /** For one batch with its retries. A process that ends may linger for this long; 2,000 when not given. */
  readonly exportTimeoutMs?: number;
  readonly times?: Partial<QueueTimes>;
}

/** A full queue of Phoenix (20,000 spans) takes 140 s. */
const TIMES: QueueTimes = { batchMs: 500, confirmMs: 5_000, lostMs: 180_000, pauseMs: 1_000 };
/** Phoenix answers some hundred a second, and one that waits longer than a batch's time for it is sent again. */
const REQUESTS_AT_A_TIME = 8;
/** How long the end of a process waits for its spans. */
const FLUSH_MS = 2_000;

interface Open {
  readonly tracer: Tracer;
  readonly queue: SpanQueue;
}

/**
 * Spans of all tenants, each into its own Phoenix project. There is one tracer provider a tenant, the least recently used
 * going first, and what it holds is sent all the same. What is held is bounded and what is lost is counted.
 */
export class Telemetry implements Tracing {
  private readonly open = new Map<TenantId, Open>();
  /** What they hold is on its way; one whose tenant is back comes back. */
  private readonly leaving = new Map<TenantId, Open>();
  private readonly budget: SpanBudget;
  private readonly phoenix: PhoenixClient;
  private readonly link: Omit<QueueLink, 'destination' | 'lastOutage'>;
  /** One for all: what one queue sees of Phoenix holds for each. */
  private readonly seen = { lastOutage: -Infinity };

  constructor(private readonly options: TelemetryOptions) {
    installContext();
    const { token, exportTimeoutMs: timeoutMs = 2_000 } = options;
    const phoenixUrl = baseUrl(options.phoenixUrl);
    this.budget = new SpanBudget(options.maxSpans ?? 10_000);
    const access = { ...(token === undefined ? {} : { token }) };
    this.phoenix = new PhoenixClient(phoenixUrl, { ...access, timeoutMs: 5_000 });
    this.link = {
      budget: this.budget,
      times: { ...TIMES, ...options.times },
      turns: new Turns(REQUESTS_AT_A_TIME),
      open: (project) => openExporter({ phoenixUrl, project, timeoutMs, ...access }),
      isStored: async (project, spanId) =>
        ((await spanPage(this.phoenix, project, { spanId, limit: 1 }))?.spans.length ?? 0) > 0,
    };
  }

  get counts(): SpanCounts {
    return this.budget.now;
  }

  async traced<T>(
    life: TenantLife,
    kind: SpanKind,
    name: string,
    attributes: Attributes,
    fn: (span: Span) => Promise<T>,
  ): Promise<T> {
    const { 'session.id': session, ...given } = attributes;
    const span = this.tracer(life.tenant).startSpan(name, {
      attributes: {
        'openinference.span.kind': kind,
        'operation.name': name,
        tenant_id: life.tenant,
        incarnation: life.incarnation,
        ...(typeof session === 'string' ? { 'session.id': `${life.tenant}:${session}` } : {}),
        ...(isWithinRequest(context.active()) ? {} : REQUEST),
        ...given,
      },
    });
    const within = withinRequest(trace.setSpan(context.active(), span));
    try {
      const result = await context.with(within, () => fn(span));
      span.setStatus({ code: SpanStatusCode.OK });
      return result;
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: safeMessage(error) });
      throw error;
    } finally {
      span.end();
    }
  }

  /** Whose spans are of this tenant. */
  tracer(tenant: TenantId): Tracer {
    return this.of(tenant).tracer;
  }

  /** Takes a span that ended elsewhere, such as in the workflow sandbox. */
  record(tenant: TenantId, span: ReadableSpan): void {
    this.of(tenant).queue.onEnd(span);
  }

  /** Sends what waits, for so many milliseconds at most. @returns whether Phoenix accepted all */
  async flush(deadlineMs = FLUSH_MS): Promise<boolean> {
    for (const queue of this.queues()) void queue.forceFlush();
    return this.budget.settled(deadlineMs);
  }

  /** Sends what waits, for a few seconds at most: a short-lived command must not lose its span, nor hang for it. */
  async close(deadlineMs = FLUSH_MS): Promise<SpanCounts> {
    await this.flush(deadlineMs);
    await Promise.all(this.queues().map((queue) => queue.shutdown()));
    this.open.clear();
    this.leaving.clear();
    return this.counts;
  }

  private queues(): SpanQueue[] {
    return [...this.leaving.values(), ...this.open.values()].map(({ queue }) => queue);
  }

  private of(tenant: TenantId): Open {
    const there = this.open.get(tenant) ?? this.leaving.get(tenant) ?? this.start(tenant);
    this.open.delete(tenant);
    this.leaving.delete(tenant);
    this.open.set(tenant, there);
    if (this.open.size > (this.options.maxTenants ?? 100)) this.letGo();
    return there;
  }

  private letGo(): void {
    for (const [tenant, { queue }] of this.leaving)
      if (queue.isEmpty && this.leaving.delete(tenant)) void queue.shutdown();
    const [tenant, leaves] = this.open.entries().next().value!;
    this.open.delete(tenant);
    this.leaving.set(tenant, leaves);
  }

  private start(tenant: TenantId): Open {
    const { seen } = this;
    const queue = new SpanQueue({
      ...this.link,
      destination: () => this.options.destinationOf(tenant),
      get lastOutage() {
        return seen.lastOutage;
      },
      set lastOutage(at) {
        seen.lastOutage = at;
      },
    });
    // All that OpenTelemetry would take from the environment and that could lose spans is set here.
    const provider = new BasicTracerProvider({
      sampler: new AlwaysOnSampler(),
      resource: resourceFromAttributes({}),
      spanLimits: { attributeCountLimit: 128, attributeValueLengthLimit: MAX_TEXT },
      spanProcessors: [queue],
    });
    return { tracer: provider.getTracer('cogniverse-ops'), queue };
  }
}
