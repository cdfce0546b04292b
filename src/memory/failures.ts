import { OpsError } from '../domain/errors.js';
import { NoAnswer } from '../vespa/http.js';
import { DocumentError, FeedBlocked, RetriesExhausted } from '../vespa/retry.js';

/**
 * What Vespa's client throws, in the words of the command.
 *
 * @throws OpsError `Unavailable` for what another try may mend, `Rejected` for a document that Vespa refuses for good
 */
export async function inOpsErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw opsErrorOf(error);
  }
}

export function opsErrorOf(error: unknown): unknown {
  if (error instanceof DocumentError)
    return new OpsError('Rejected', `Vespa refuses a memory: ${error.message}`);
  if (error instanceof FeedBlocked || error instanceof RetriesExhausted || error instanceof NoAnswer)
    return new OpsError('Unavailable', error.message, 'see that Vespa answers, then try again');
  return error;
}
