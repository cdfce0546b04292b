import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { authorization, checkProjectName } from './client.js';

/** `ExportResultCode.SUCCESS` of `@opentelemetry/core`, which is no dependency of ours. */
const SUCCESS = 0;

export interface ProviderOptions {
  readonly phoenixUrl: string;
  readonly project: string;
  readonly token?: string | undefined;
  readonly exportTimeoutMs: number;
  readonly maxQueued: number;
  /** Hears of every batch once: how many spans left the queue, and whether Phoenix took them. */
  readonly onExported: (spans: number, taken: boolean) => void;
}

/**
 * A tracer provider whose spans go to one Phoenix project. All that OpenTelemetry would take from the environment and
 * that could lose or divert spans (sampler, limits, batch sizes, headers) is set here.
 */
export function openProvider(options: ProviderOptions): BasicTracerProvider {
  const project = checkProjectName(options.project);
  // Protobuf: Phoenix refuses OTLP's JSON with 415.
  const exporter = new OTLPTraceExporter({
    url: `${options.phoenixUrl}/v1/traces`,
    timeoutMillis: options.exportTimeoutMs,
    // Wins over the resource, so that one in OTEL_EXPORTER_OTLP_HEADERS cannot send a tenant's spans elsewhere.
    headers: { 'x-project-name': project, ...authorization(options.token) },
  });
  return new BasicTracerProvider({
    sampler: new AlwaysOnSampler(),
    resource: resourceFromAttributes({
      'service.name': 'cogniverse-ops',
      'openinference.project.name': project,
    }),
    spanLimits: { attributeCountLimit: 128, attributeValueLengthLimit: 32_768 },
    spanProcessors: [
      new BatchSpanProcessor(counting(exporter, options.onExported), {
        maxQueueSize: options.maxQueued,
        maxExportBatchSize: Math.min(512, options.maxQueued),
        scheduledDelayMillis: 500,
        exportTimeoutMillis: options.exportTimeoutMs + 1_000,
      }),
    ],
  });
}

function counting(exporter: SpanExporter, onExported: ProviderOptions['onExported']): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        onExported(spans.length, (result.code as number) === SUCCESS);
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
