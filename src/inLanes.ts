/**
 * Runs something for each item, so many at a time, in order. After a failure no more are begun; it is thrown when those
 * under way have ended.
 *
 * @param run its signal aborts after a failure, and with `signal`
 */
export async function inLanes<T>(
  items: Iterable<T>,
  lanes: number,
  run: (item: T, signal: AbortSignal) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const waiting = items[Symbol.iterator]();
  const lane = async () => {
    for (let next = waiting.next(); !next.done; next = waiting.next()) {
      either.throwIfAborted();
      await run(next.value, either);
    }
  };
  const ends = Array.from({ length: lanes }, () =>
    lane().catch((error: unknown) => {
      failed.abort(error);
    }),
  );
  await Promise.all(ends);
  either.throwIfAborted();
}
