import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { ExportResultCode } from '@opentelemetry/core';
import { authorization, checkProjectName } from './client.js';

export interface ExporterOptions {
  readonly phoenixUrl: string;
  readonly project: string;
  readonly token?: string | undefined;
  /** For one batch with its retries. */
  readonly timeoutMs: number;
}

/** How a batch fared: Phoenix has it in its memory, will never take it, or could not be asked. */
export type Sent = 'accepted' | 'refused' | 'unreachable';

export interface ProjectExporter {
  /** Never throws. */
  send(spans: readonly ReadableSpan[]): Promise<Sent>;
  close(): Promise<void>;
}

/**
 * Sends spans to one Phoenix project. The project is named in a header beside the resource: the header wins, so that one
 * in OTEL_EXPORTER_OTLP_HEADERS cannot send a tenant's spans elsewhere.
 *
 * @throws OpsError `InvalidInput` for a project name
 */
export function openExporter(options: ExporterOptions): ProjectExporter {
  const project = checkProjectName(options.project);
  // Protobuf: Phoenix refuses OTLP's JSON with 415.
  const exporter = new OTLPTraceExporter({
    url: `${options.phoenixUrl}/v1/traces`,
    timeoutMillis: options.timeoutMs,
    headers: { 'x-project-name': project, ...authorization(options.token) },
  });
  return {
    send: (spans) =>
      new Promise((resolve) => {
        exporter.export([...spans], ({ code, error }) =>
          resolve(code === ExportResultCode.SUCCESS ? 'accepted' : outcomeOf(error)),
        );
      }),
    close: () => exporter.shutdown().catch(() => undefined),
  };
}

/** The exporter's error carries the HTTP status as its code, and none when nothing answered. */
function outcomeOf(error: (Error & { readonly code?: unknown }) | undefined): Sent {
  const status = typeof error?.code === 'number' ? error.code : 0;
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? 'refused' : 'unreachable';
}
