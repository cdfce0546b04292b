import {
  type Attributes,
  type Span,
  type SpanOptions,
  type Tracer,
  INVALID_SPAN_CONTEXT,
  context,
  createContextKey,
  trace,
} from '@opentelemetry/api';
import type { ActivityInterceptorsFactory, InjectedSinks } from '@temporalio/worker';
import type { Next, WorkflowClientInterceptor } from '@temporalio/client';
import { type Priority, defaultPayloadConverter } from '@temporalio/common';
import {
  OpenTelemetryActivityInboundInterceptor,
  type OpenTelemetrySinks,
  OpenTelemetryWorkflowClientInterceptor,
  type SerializableSpan,
  SpanName,
} from '@temporalio/interceptors-opentelemetry';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { TENANT_HEADER } from '../domain/operationMarks.js';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { REQUEST, STEP } from './request.js';
import type { Telemetry } from './telemetry.js';

/**
 * Temporal's own OpenTelemetry interceptors, each span into the project of the workflow's tenant. They know one tracer and
 * one resource a process, so the tenant is found here: a workflow carries it as its fairness key
 * (`src/domain/operationMarks.ts`), and its activities in a header (`workflows/tracing.ts`). Work of no tenant, such as the one writer of the Vespa application, is not traced.
 */
const TENANT = createContextKey('cvops tenant');
const EMPTY = resourceFromAttributes({});
const NOT_TRACED = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/** Asked several times a second by whoever watches; or sent by a workflow of no tenant, whose trace is not sent. */
const UNSENT: ReadonlySet<string> = new Set([
  SpanName.WORKFLOW_QUERY,
  SpanName.WORKFLOW_DESCRIBE,
  SpanName.WORKFLOW_HANDLE_QUERY,
  SpanName.WORKFLOW_VALIDATE_UPDATE,
  SpanName.WORKFLOW_HANDLE_SIGNAL,
]);

function tenantOf(key: unknown): TenantId | undefined {
  try {
    return parseTenantId(key);
  } catch {
    return undefined;
  }
}

/** For the Temporal client of a process: what it starts begins the trace. In this order. */
export function clientInterceptors(telemetry: Telemetry): WorkflowClientInterceptor[] {
  const within = <I, O>(
    options: { readonly priority?: Priority },
    input: I,
    next: (input: I) => Promise<O>,
  ): Promise<O> =>
    context.with(context.active().setValue(TENANT, tenantOf(options.priority?.fairnessKey)), () =>
      next(input),
    );
  const tracer = new ChosenTracer((name) => {
    const tenant = context.active().getValue(TENANT) as TenantId | undefined;
    return tenant === undefined || UNSENT.has(stepOf(name)) ? undefined : telemetry.tracer(tenant);
  });
  return [
    {
      start: (input, next) => within(input.options, input, next),
      startWithDetails: (input, next: Next<WorkflowClientInterceptor, 'startWithDetails'>) =>
        within(input.options, input, next),
      signalWithStart: (input, next) => within(input.options, input, next),
    },
    new OpenTelemetryWorkflowClientInterceptor({ tracer }),
  ];
}

/** For a worker: what its activities do is a child of the workflow's step. */
export function activityInterceptors(telemetry: Telemetry): ActivityInterceptorsFactory {
  return (activity) => ({
    inbound: {
      execute(input, next) {
        const header = input.headers[TENANT_HEADER];
        const tenant = header && tenantOf(defaultPayloadConverter.fromPayload(header));
        if (tenant === undefined) return next(input);
        const tracer = new ChosenTracer(() => telemetry.tracer(tenant));
        return new OpenTelemetryActivityInboundInterceptor(activity, { tracer }).execute(input, next);
      },
    },
  });
}

/**
 * For a worker that runs workflows: their spans come out of the sandbox through a sink.
 *
 * @param telemetry undefined: they go nowhere. A sink there must be, as the workflows call it
 * @param isOf whether a run works for a tenant: its fairness key is whatever its starter has said
 */
export function workflowSinks(
  telemetry: Telemetry | undefined,
  isOf: (run: { readonly workflowId: string; readonly runId: string }, tenant: TenantId) => Promise<boolean>,
): InjectedSinks<OpenTelemetrySinks> {
  return {
    exporter: {
      export: {
        callDuringReplay: false,
        fn: ({ priority, workflowId, runId }, spans) => {
          const tenant = tenantOf(priority?.fairnessKey);
          if (telemetry === undefined || tenant === undefined) return;
          const sent = spans.filter((span) => !UNSENT.has(stepOf(span.name)));
          if (sent.length === 0) return;
          void isOf({ workflowId, runId }, tenant).then((its) => {
            for (const span of its ? sent : [])
              telemetry.record(tenant, readable(span, { temporalWorkflowId: workflowId, run_id: runId }));
          });
        },
      },
    },
  };
}

/** The package makes spans of OpenTelemetry 1; the exporter wants those of 2. */
function readable(span: SerializableSpan, more: Attributes) {
  const { spanContext, parentSpanId, instrumentationLibrary, attributes, ...rest } = span;
  const { traceId, spanId, traceFlags } = spanContext;
  const ids = { traceId, spanId, traceFlags };
  return {
    ...rest,
    spanContext: () => ids,
    ...(parentSpanId === undefined ? {} : { parentSpanContext: { ...ids, spanId: parentSpanId } }),
    attributes: { ...marksOf(span.name), ...attributes, ...more },
    instrumentationScope: instrumentationLibrary,
    // The exporter writes it per tenant.
    resource: EMPTY,
  };
}

/** `RunWorkflow` of `RunWorkflow:createTenant`. */
function stepOf(name: string): string {
  return name.split(':', 1)[0]!;
}

/** A workflow's run is the operation, and counts as a request; the rest are its steps. */
function marksOf(name: string): Attributes {
  const step = stepOf(name);
  const isRun = step === (SpanName.WORKFLOW_EXECUTE as string);
  return {
    'openinference.span.kind': step === (SpanName.ACTIVITY_EXECUTE as string) ? 'TOOL' : 'CHAIN',
    'operation.name': isRun ? name.slice(step.length + 1) : STEP,
    ...(isRun ? REQUEST : {}),
  };
}

/** Gives each span to the tracer of its tenant; to none, and the call goes on untraced. */
class ChosenTracer implements Tracer {
  constructor(private readonly choose: (name: string) => Tracer | undefined) {}

  startSpan(name: string, options?: SpanOptions, parent = context.active()): Span {
    const attributes = { ...marksOf(name), ...options?.attributes };
    return this.choose(name)?.startSpan(name, { ...options, attributes }, parent) ?? NOT_TRACED;
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, ...rest: unknown[]): ReturnType<F> {
    const run = rest.at(-1) as F;
    const span = this.startSpan(name);
    return context.with(trace.setSpan(context.active(), span), () => run(span)) as ReturnType<F>;
  }
}
