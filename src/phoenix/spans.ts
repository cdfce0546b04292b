import { type Attributes, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { TenantId } from '../domain/ids.js';
import { type PhoenixClient, checkProjectName } from './client.js';

/** Providers kept: each has a queue and a timer of its own. */
const MAX_TENANTS = 100;
const FLUSH_MS = 2_000;

/** Whose project a span goes to. */
export interface SpanTarget {
  readonly tenant: TenantId;
  readonly project: string;
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

/**
 * Sends OpenInference spans to each tenant's own Phoenix project. A provider has one project for life, so there is one
 * per tenant, the least recently used going first. A Phoenix that is down never fails or slows the work: the queue is
 * bounded and what does not fit is dropped.
 */
export class SpanSender {
  private readonly providers = new Map<string, BasicTracerProvider>();

  constructor(private readonly phoenixUrl: string) {}

  recordSearch({ tenant, project }: SpanTarget, span: SearchSpan): void {
    const now = new Date();
    const attributes: Attributes = {
      'openinference.span.kind': 'CHAIN',
      'operation.name': 'search',
      tenant_id: tenant,
      'input.value': clean(span.query),
      profile: span.profile,
      strategy: clean(span.ranking),
      top_k: span.topK,
      num_results: span.results,
      latency_ms: now.getTime() - span.startedAt.getTime(),
      ...(span.topScore === undefined ? {} : { top_score: span.topScore }),
      // Session ids are global in Phoenix: two tenants' equal ones would be one session, deleted together.
      ...(span.session === undefined ? {} : { 'session.id': `${tenant}:${clean(span.session)}` }),
    };
    const started = this.tracer(project).startSpan('search_service.search', {
      startTime: span.startedAt,
      attributes,
      root: true,
    });
    if (span.error === undefined) started.setStatus({ code: SpanStatusCode.OK });
    else started.setStatus({ code: SpanStatusCode.ERROR, message: clean(span.error) });
    started.end(now);
  }

  /** Sends what is queued, for a few seconds at most: a short-lived command must not lose its span, nor hang for it. */
  async close(): Promise<void> {
    const closing = [...this.providers.values()].map((provider) =>
      provider.shutdown().catch(() => undefined),
    );
    this.providers.clear();
    await Promise.race([
      Promise.all(closing),
      new Promise((resolve) => setTimeout(resolve, FLUSH_MS).unref()),
    ]);
  }

  private tracer(project: string): Tracer {
    const provider = this.providers.get(project) ?? this.open(project);
    this.providers.delete(project);
    this.providers.set(project, provider);
    if (this.providers.size > MAX_TENANTS) {
      const [oldest, dropped] = this.providers.entries().next().value!;
      this.providers.delete(oldest);
      void dropped.shutdown().catch(() => undefined);
    }
    return provider.getTracer('cogniverse-ops');
  }

  private open(project: string): BasicTracerProvider {
    // Protobuf: Phoenix refuses OTLP's JSON with 415.
    const exporter = new OTLPTraceExporter({
      url: new URL('/v1/traces', this.phoenixUrl).href,
      timeoutMillis: FLUSH_MS,
    });
    return new BasicTracerProvider({
      resource: resourceFromAttributes({
        'service.name': 'cogniverse-ops',
        'openinference.project.name': checkProjectName(project),
      }),
      spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 2048, scheduledDelayMillis: 500 })],
    });
  }
}

/** Phoenix on Postgres silently drops a span with a NUL in any attribute. */
function clean(text: string): string {
  return text.replaceAll('\0', '');
}

export interface StoredSpan {
  readonly name: string;
  readonly status_code: string;
  readonly context: { readonly trace_id: string; readonly span_id: string };
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Newest first, at most 1,000. @returns undefined when there is no such project */
export async function listSpans(
  phoenix: PhoenixClient,
  project: string,
  limit = 100,
): Promise<StoredSpan[] | undefined> {
  const page = await phoenix.get<{ data: StoredSpan[] }>(
    `/v1/projects/${checkProjectName(project)}/spans?limit=${limit}`,
  );
  return page?.data;
}
