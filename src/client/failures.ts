import { ApplicationFailure } from '@temporalio/common';
import { OpsError, isFailureType } from '../domain/errors.js';

/**
 * What a workflow, update or activity failed with, as the typed error it began as: the innermost failure of a known
 * type in the chain of causes. Anything unknown comes back as it is.
 */
export function toOpsError(error: unknown): unknown {
  let found: OpsError | undefined;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof OpsError) return cause;
    if (cause instanceof ApplicationFailure && isFailureType(cause.type)) {
      const hint = (cause.details?.[0] as { hint?: string } | undefined)?.hint;
      found = new OpsError(cause.type, cause.message, hint ?? undefined);
    }
  }
  return found ?? error;
}
