import { OpsError } from '../../domain/errors.js';
import { DeployError, UnknownOutcome } from '../configServer.js';
import { NoAnswer } from '../http.js';

/** Another deploy came between: what we read is active no more. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

/** An answer of unknown outcome is not worth more than a few tries here: the activity's retry is the longer one. */
const MAX_OUTAGES = 8;

/**
 * Why a deploy begins again from what is active then, and how often it did. Beginning again is safe whatever the call
 * did: a session that is not activated is nothing, and one that is makes the next see its work done.
 */
export class Disturbances {
  /** Times somebody else's deploy came between, or held the lock. */
  conflicts = 0;
  private outages = 0;

  constructor(private readonly maxConflicts: number) {}

  /**
   * @returns milliseconds to wait before the next try
   * @throws the error itself when trying again is of no use; OpsError `Unavailable` after `maxConflicts`
   */
  afterwards(error: unknown): number {
    if (isOutage(error)) {
      if (++this.outages > MAX_OUTAGES) throw error;
      return jitter(this.outages);
    }
    if (!isConflict(error)) throw error;
    if (++this.conflicts > this.maxConflicts) {
      throw new OpsError(
        'Unavailable',
        `other deploys came between ${this.conflicts} times: ${error.message}`,
        'find out who else deploys to this application',
      );
    }
    return jitter(this.conflicts);
  }
}

function isConflict(error: unknown): error is Error {
  // 404: the session, or the application it copied, is gone.
  return (
    error instanceof Overtaken || (error instanceof DeployError && (error.conflict || error.status === 404))
  );
}

function isOutage(error: unknown): boolean {
  return (
    error instanceof UnknownOutcome ||
    error instanceof NoAnswer ||
    // A read has no outcome to be unsure of.
    (error instanceof DeployError && (error.status === 408 || error.status >= 500))
  );
}

function jitter(attempt: number): number {
  return Math.random() * Math.min(2000, 100 * 2 ** attempt);
}
