interface Abortable {
  abort(reason: unknown): void;
}

/** One listener for each signal, however many requests hang on it: adding one per request is slow, and Node warns. */
export class Aborts {
  private readonly bySignal = new Map<AbortSignal, { waiting: Set<Abortable>; listener: () => void }>();

  add(signal: AbortSignal, request: Abortable): void {
    let entry = this.bySignal.get(signal);
    if (entry === undefined) {
      const waiting = new Set<Abortable>();
      const listener = () => {
        for (const each of [...waiting]) each.abort(signal.reason);
      };
      entry = { waiting, listener };
      this.bySignal.set(signal, entry);
      signal.addEventListener('abort', listener, { once: true });
    }
    entry.waiting.add(request);
  }

  delete(signal: AbortSignal, request: Abortable): void {
    const entry = this.bySignal.get(signal);
    if (entry === undefined) return;
    entry.waiting.delete(request);
    if (entry.waiting.size > 0) return;
    signal.removeEventListener('abort', entry.listener);
    this.bySignal.delete(signal);
  }
}
