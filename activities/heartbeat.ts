import { activityInfo, cancellationSignal, heartbeat } from '@temporalio/activity';

/**
 * Beats in the background while `work` runs, so that a long wait inside it neither looks dead nor misses a
 * cancellation: an activity that never heartbeats never hears of one.
 *
 * @param work gets the signal that aborts when the activity is cancelled, timed out, or its worker shuts down
 * @param details what the next attempt finds in `heartbeatDetails`; a beat without them would take them away
 */
export async function heartbeating<T>(
  work: (signal: AbortSignal) => Promise<T>,
  details?: () => unknown,
): Promise<T> {
  const timeoutMs = activityInfo().heartbeatTimeoutMs;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setInterval(() => heartbeat(details?.()), Math.max(500, timeoutMs / 5));
  try {
    return await work(cancellationSignal());
  } finally {
    clearInterval(timer);
  }
}
