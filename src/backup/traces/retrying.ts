import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../../domain/errors.js';
import { PhoenixError } from '../../phoenix/client.js';

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 10_000;
/** A Phoenix that restarts is back in a quarter of a minute; one with a full queue has room again in two minutes. */
const GIVE_UP_MS = 240_000;

export interface TracesCall {
  readonly signal: AbortSignal;
  /** Called whenever something was done, and while Phoenix is waited for. */
  readonly heartbeat: () => void;
}

/**
 * Makes a call again while what failed may pass: no answer, too many requests, a full queue (503, without a Retry-After),
 * any other 5xx. For calls that may be made twice only.
 *
 * @throws OpsError `Unavailable` after four minutes of that; any other error as it is
 */
export async function retrying<T>(call: TracesCall, once: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + GIVE_UP_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(MAX_PAUSE_MS, pause * 2)) {
    call.signal.throwIfAborted();
    try {
      return await once();
    } catch (error) {
      if (!mayPass(error)) throw error;
      if (Date.now() > deadline)
        throw new OpsError(
          'Unavailable',
          `Phoenix did not do its part for ${GIVE_UP_MS / 60_000} minutes: ${error.message}`,
          'see that it is up and has room (cvops status), then do it again: it goes on where it was',
        );
    }
    call.heartbeat();
    await delay(pause * (0.5 + Math.random() / 2), undefined, { signal: call.signal });
  }
}

function mayPass(error: unknown): error is PhoenixError {
  return error instanceof PhoenixError && (error.status === 0 || error.status === 429 || error.status >= 500);
}
