import { orAborted } from '../../orAborted.js';

/** What a put is given, in pieces; a body that gives nothing more is waited for no longer than the signal lets it. */
export async function* piecesOf(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  if (body instanceof Uint8Array) return void (yield body);
  const pieces = body[Symbol.asyncIterator]();
  let running = true;
  try {
    for (;;) {
      const next = await orAborted(pieces.next(), signal);
      if (next.done) {
        running = false;
        return;
      }
      yield next.value;
    }
  } finally {
    const ended = running ? pieces.return?.() : undefined;
    // One that hangs would hang here too.
    if (signal?.aborted) ended?.catch(() => undefined);
    else await ended;
  }
}
