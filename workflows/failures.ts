import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  isCancellation,
  rootCause,
} from '@temporalio/workflow';
import type { Failure } from '../activities/types.js';
import { isFailureType } from '../src/domain/errors.js';

/** Reads the typed failure out of what an activity call threw; anything else counts as `Unavailable`. */
export function failureRecord(error: unknown): Failure {
  const cause =
    error instanceof ActivityFailure || error instanceof ChildWorkflowFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure && isFailureType(cause.type)) {
    const hint = (cause.details?.[0] as { hint?: string } | undefined)?.hint;
    return { code: cause.type, message: cause.message, ...(hint === undefined ? {} : { hint }) };
  }
  return { code: 'Unavailable', message: rootCause(error) ?? String(error) };
}

/** The failure an operation's workflow ends with: expected, so it raises no alarm, and the same on every retry. */
export function operationFailure(record: Failure): ApplicationFailure {
  return ApplicationFailure.create({
    type: record.code,
    message: record.message,
    nonRetryable: true,
    category: 'BENIGN',
    details: [{ hint: record.hint }],
  });
}

/** What an operation's workflow throws for an error: a cancellation stays one. */
export function thrownFor(error: unknown): unknown {
  return isCancellation(error) ? error : operationFailure(failureRecord(error));
}

/** How an operation that threw is ended: what its row is to say, and what its workflow throws then. */
export function endingOf(
  error: unknown,
  whenCancelled: string,
): { readonly state: 'failed' | 'cancelled'; readonly failure: Failure; readonly thrown: unknown } {
  const thrown = thrownFor(error);
  if (isCancellation(error))
    return { state: 'cancelled', failure: { code: 'Conflict', message: whenCancelled }, thrown };
  return { state: 'failed', failure: failureRecord(error), thrown };
}
