import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api';
import type { Tracing } from './telemetry.js';

/** For work that is not to be traced: a switch that is off, a benchmark, a test of something else. */
export const NO_TRACING: Tracing = {
  traced: (_life, _kind, _name, _attributes, fn) => fn(trace.wrapSpanContext(INVALID_SPAN_CONTEXT)),
};
