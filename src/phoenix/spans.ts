import { type Attributes, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { baseUrl } from './client.js';
import { openProvider } from './exporting.js';

export { type StoredSpan, listSpans } from './storedSpans.js';

/** Whose project a span goes to. */
export interface SpanTarget {
  readonly tenant: TenantId;
  readonly project: string;
  /** Of the tenant whose data the span tells of. */
  readonly incarnation?: Incarnation;
}

/** One search, as it is traced. */
export interface SearchSpan {
  readonly query: string;
  readonly profile: string;
  readonly ranking: string;
  readonly topK: number;
  readonly session?: string | undefined;
  readonly startedAt: Date;
  readonly results: number;
  readonly topScore?: number | undefined;
  readonly error?: string;
}

/** Any span, as it is sent. */
export interface RecordedSpan {
  readonly name: string;
  readonly operation: string;
  /** OpenInference's. */
  readonly kind: 'CHAIN' | 'AGENT';
  readonly input: string;
  readonly attributes: Attributes;
  readonly session?: string | undefined;
  readonly startedAt: Date;
  readonly error?: string;
}

export interface SpanSenderOptions {
  /** Bearer token, for a Phoenix with `PHOENIX_ENABLE_AUTH`. */
  readonly token?: string;
  /** Tenants with a queue and a timer of their own at one time; 100 when not given. */
  readonly maxTenants?: number;
  /** Spans of all tenants that may wait at one time; 2,048 when not given. */
  readonly maxQueued?: number;
  /** For one batch with its retries. A process that ends may linger for this long; 2,000 when not given. */
  readonly exportTimeoutMs?: number;
}

export interface SpanCounts {
  /** Accepted by Phoenix, which stores them a moment later. */
  readonly sent: number;
  /** Refused, or not accepted in time. */
  readonly failed: number;
  /** Not even queued, because too many waited. */
  readonly dropped: number;
  readonly queued: number;
}

/** How long the end of a process waits for its spans. */
const FLUSH_MS = 2_000;

/**
 * Sends OpenInference spans to each tenant's own Phoenix project. A provider has one project for life, so there is one
 * per tenant, the least recently used going first. A Phoenix that is down never fails or slows the work: the queue is
 * bounded, and what is not taken is counted.
 */
export class SpanSender {
  private readonly providers = new Map<string, BasicTracerProvider>();
  private readonly phoenixUrl: string;
  private readonly waiting = new Set<() => void>();
  private sent = 0;
  private failed = 0;
  private dropped = 0;
  private queued = 0;

  /** @param phoenixUrl may have a path, for a Phoenix behind a proxy */
  constructor(
    phoenixUrl: string,
    private readonly options: SpanSenderOptions = {},
  ) {
    this.phoenixUrl = baseUrl(phoenixUrl);
  }

  get counts(): SpanCounts {
    return { sent: this.sent, failed: this.failed, dropped: this.dropped, queued: this.queued };
  }

  /** Never throws for what Phoenix does, and never waits. @throws OpsError `InvalidInput` for a project name */
  recordSearch(target: SpanTarget, span: SearchSpan): void {
    this.record(target, {
      ...{ name: 'search_service.search', operation: 'search', kind: 'CHAIN' },
      ...{ input: span.query, startedAt: span.startedAt, session: span.session },
      attributes: {
        backend: 'vespa',
        query: span.query,
        profile: span.profile,
        strategy: span.ranking,
        top_k: span.topK,
        num_results: span.results,
        ...(span.topScore === undefined ? {} : { top_score: span.topScore }),
      },
      ...(span.error === undefined ? {} : { error: span.error }),
    });
  }

  /**
   * Never throws for what Phoenix does, and never waits.
   *
   * @returns the span's id in Phoenix; undefined when it was dropped
   * @throws OpsError `InvalidInput` for a project name
   */
  record({ tenant, project, incarnation }: SpanTarget, span: RecordedSpan): string | undefined {
    const tracer = this.tracer(project);
    if (this.queued >= this.maxQueued) {
      this.dropped++;
      return undefined;
    }
    const now = new Date();
    const attributes: Attributes = {
      'openinference.span.kind': span.kind,
      'operation.name': span.operation,
      tenant_id: tenant,
      'tenant.id': tenant,
      ...(incarnation === undefined ? {} : { incarnation }),
      'input.value': clean(span.input),
      latency_ms: now.getTime() - span.startedAt.getTime(),
      ...cleanTexts(span.attributes),
      // Session ids are global in Phoenix: two tenants' equal ones would be one session, deleted together.
      ...(span.session === undefined ? {} : { 'session.id': `${tenant}:${clean(span.session)}` }),
    };
    const started = tracer.startSpan(span.name, { startTime: span.startedAt, attributes, root: true });
    if (span.error === undefined) started.setStatus({ code: SpanStatusCode.OK });
    else started.setStatus({ code: SpanStatusCode.ERROR, message: clean(span.error) });
    this.queued++;
    started.end(now);
    return started.spanContext().spanId;
  }

  /** Sends what waits, for so many milliseconds at most. @returns whether nothing waits any more */
  async flush(deadlineMs = FLUSH_MS): Promise<boolean> {
    for (const provider of this.providers.values()) provider.forceFlush().catch(() => undefined);
    return this.settled(deadlineMs);
  }

  /** Sends what is queued, for a few seconds at most: a short-lived command must not lose its span, nor hang for it. */
  async close(): Promise<void> {
    for (const provider of this.providers.values()) shutDown(provider);
    this.providers.clear();
    await this.settled(FLUSH_MS);
  }

  private get maxQueued(): number {
    return this.options.maxQueued ?? 2_048;
  }

  /** Not the providers' own promises: those do not wait for a batch that is under way already. */
  private async settled(deadlineMs: number): Promise<boolean> {
    if (this.queued === 0) return true;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, deadlineMs);
      this.waiting.add(done);
    });
    return this.queued === 0;
  }

  private tracer(project: string): Tracer {
    const provider = this.providers.get(project) ?? this.open(project);
    this.providers.delete(project);
    this.providers.set(project, provider);
    if (this.providers.size > (this.options.maxTenants ?? 100)) {
      const [oldest, leaving] = this.providers.entries().next().value!;
      this.providers.delete(oldest);
      shutDown(leaving);
    }
    return provider.getTracer('cogniverse-ops');
  }

  private open(project: string): BasicTracerProvider {
    return openProvider({
      phoenixUrl: this.phoenixUrl,
      project,
      token: this.options.token,
      exportTimeoutMs: this.options.exportTimeoutMs ?? 2_000,
      maxQueued: this.maxQueued,
      onExported: (spans, taken) => {
        this.queued -= spans;
        if (taken) this.sent += spans;
        else this.failed += spans;
        if (this.queued === 0) for (const done of [...this.waiting]) done();
      },
    });
  }
}

/** Sends what it still holds; what fails is counted where it fails. */
function shutDown(provider: BasicTracerProvider): void {
  provider.shutdown().catch(() => undefined);
}

function cleanTexts(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === 'string' ? clean(value) : value]),
  );
}

/**
 * Phoenix on Postgres silently drops a span with a NUL in any attribute; half of a surrogate pair would be invalid
 * UTF-8, for which it refuses the whole batch.
 */
function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '');
}
