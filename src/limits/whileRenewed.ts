export interface Renewing {
  readonly everyMs: number;
  /** @returns false when it is somebody else's now */
  readonly renew: () => Promise<boolean>;
  /** What the work is aborted with then. */
  readonly lost: () => Error;
  /** Gives it back; not given back, it expires. */
  readonly release: () => Promise<unknown>;
  /** Work that came through after it was lost has failed too. */
  readonly heldToTheEnd?: boolean;
}

/**
 * Runs `work` while something that expires by itself is renewed, and gives it back at the end.
 *
 * @param signal the caller's own
 * @param work its signal also aborts when what is held is lost
 * @throws what `lost` made, the signal's reason, what `work` throws
 */
export async function whileRenewed<T>(
  { everyMs, renew, lost, release, heldToTheEnd = false }: Renewing,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const losing = new AbortController();
  const renewing = setInterval(
    () =>
      void renew().then(
        (held) => held || losing.abort(lost()),
        // The next beat asks again.
        () => undefined,
      ),
    everyMs,
  );
  try {
    const result = await work(signal ? AbortSignal.any([signal, losing.signal]) : losing.signal);
    if (heldToTheEnd) losing.signal.throwIfAborted();
    return result;
  } catch (error) {
    throw losing.signal.aborted && !signal?.aborted ? losing.signal.reason : error;
  } finally {
    clearInterval(renewing);
    await release().catch(() => undefined);
  }
}
