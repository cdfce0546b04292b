import { type Attributes, type Context, createContextKey } from '@opentelemetry/api';

/** `operation.name` of what only is a step within an operation. */
export const STEP = 'step';

/**
 * On every span that is a request of its own, wherever in a trace it is: a search, a video, a memory call, an operation.
 * Metrics count these, and spans without a parent that bear no `operation.name`, which somebody else sent.
 */
export const REQUEST: Attributes = { 'cvops.request': 'yes' };

const WITHIN = createContextKey('cvops request');

/** A traced call within another one is a part of that. */
export function isWithinRequest(context: Context): boolean {
  return context.getValue(WITHIN) === true;
}

export function withinRequest(context: Context): Context {
  return context.setValue(WITHIN, true);
}
