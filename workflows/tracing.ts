import type { Tracer } from '@opentelemetry/api';
import {
  OpenTelemetryInboundInterceptor,
  OpenTelemetryInternalsInterceptor,
  OpenTelemetryOutboundInterceptor,
} from '@temporalio/interceptors-opentelemetry/lib/workflow/index.js';
import { defaultPayloadConverter } from '@temporalio/common';
import {
  type ActivityInput,
  type Next,
  type QueryInput,
  type UpdateInput,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptorsFactory,
  type WorkflowOutboundCallsInterceptor,
  workflowInfo,
} from '@temporalio/workflow';
import { TENANT_HEADER } from '../src/domain/operationMarks.js';

/**
 * Ids of spans, from the run. OpenTelemetry's own generator takes them from `Math.random`, which in a workflow is the
 * workflow's: every span would shift what a `uuid4()` of its code gives, and a run that began untraced, or under another
 * version of the interceptors, could not go on.
 */
class RunIds {
  private spans = 0n;

  generateTraceId(): string {
    return workflowInfo().runId.replaceAll('-', '');
  }

  generateSpanId(): string {
    // The random half of a UUID: the other one may be a time.
    const half = BigInt(`0x${this.generateTraceId().slice(16)}`);
    this.spans += 1n;
    return BigInt.asUintN(64, half + this.spans)
      .toString(16)
      .padStart(16, '0');
  }
}

/** Queries and validations happen on one worker and not in a replay: a span of theirs would shift the ids of the others. */
class Inbound extends OpenTelemetryInboundInterceptor {
  constructor() {
    super();
    withRunIds(this.tracer);
  }

  override handleQuery(
    input: QueryInput,
    next: Next<WorkflowInboundCallsInterceptor, 'handleQuery'>,
  ): Promise<unknown> {
    return next(input);
  }

  override validateUpdate(
    input: UpdateInput,
    next: Next<WorkflowInboundCallsInterceptor, 'validateUpdate'>,
  ): void {
    next(input);
  }
}

class Outbound extends OpenTelemetryOutboundInterceptor {
  override scheduleActivity(
    input: ActivityInput,
    next: Next<WorkflowOutboundCallsInterceptor, 'scheduleActivity'>,
  ): Promise<unknown> {
    const tenant = workflowInfo().priority?.fairnessKey;
    if (tenant === undefined) return super.scheduleActivity(input, next);
    const headers = { ...input.headers, [TENANT_HEADER]: defaultPayloadConverter.toPayload(tenant) };
    return super.scheduleActivity({ ...input, headers }, next);
  }
}

/** The package makes its tracer itself and takes no generator; all interceptors of a run share it. */
function withRunIds(tracer: Tracer): void {
  Object.assign(tracer, { _idGenerator: new RunIds() });
}

export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [new Inbound()],
  outbound: [new Outbound()],
  internals: [new OpenTelemetryInternalsInterceptor()],
});
