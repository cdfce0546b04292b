import { ApplicationFailure } from '@temporalio/activity';
import { OpsError } from '../src/domain/errors.js';
import { redactError } from '../src/domain/redaction.js';

type Activities = Record<string, (...args: never[]) => Promise<unknown>>;

/**
 * The activity boundary. Code below throws `OpsError` for what is expected (bad input, wrong state, refused); here it
 * becomes a typed failure that Temporal neither retries nor counts as an error. Everything else is left to the retry
 * policy.
 */
export function typedFailures<T extends Activities>(activities: T): T {
  const wrapped = Object.entries(activities).map(([name, run]) => [
    name,
    async (...args: never[]) => {
      try {
        return await run(...args);
      } catch (error) {
        throw toFailure(error);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}

export function toFailure(error: unknown): unknown {
  // What a driver says stands in the history as long as that is kept.
  if (!(error instanceof OpsError)) return redactError(error);
  return ApplicationFailure.create({
    type: error.type,
    message: error.message,
    nonRetryable: true,
    category: 'BENIGN',
    details: [{ hint: error.hint }],
  });
}

/** What is away now may be back at the next attempt: left to the retry policy instead of ending the operation. */
export async function mayPass<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof OpsError) || error.type !== 'Unavailable') throw error;
    throw new Error(error.message, { cause: error });
  }
}
