import { Readable, Transform, type TransformCallback, pipeline } from 'node:stream';
import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';

/**
 * `cut`: the connection is reset somewhere within the answer. `stalled`: the answer stops somewhere, and the connection
 * stays. `unfinished`: lines end as they do, without the last of them, the last continuation (other answers are cut). `refused`: 429 or 503
 * before anything is visited.
 */
export const VISIT_FAULTS = ['cut', 'stalled', 'unfinished', 'refused'] as const;
export type VisitFault = (typeof VISIT_FAULTS)[number];

export interface VisitFaultOptions {
  /** Share of streamed visits that have a fault, 0 to 1. */
  readonly rate: number;
  readonly kinds: readonly VisitFault[];
  /** Cut and stalled ones end within so many bytes; an answer that is shorter, just before its end. */
  readonly withinBytes: number;
}

/** @throws Error when a name is no fault */
export function parseVisitFaults(names: string): readonly VisitFault[] {
  return names.split(',').map((name) => {
    const fault = VISIT_FAULTS.find((known) => known === name.trim());
    if (fault === undefined)
      throw new Error(`no fault of a visit: ${name}; there are ${VISIT_FAULTS.join(', ')}`);
    return fault;
  });
}

/** A streamed visit with one of the faults. @param random gives numbers from 0 to below 1 */
export async function visitWithFault(
  handler: ApiHandler,
  request: ApiRequest,
  options: VisitFaultOptions,
  random: () => number,
): Promise<ApiResponse> {
  const fault = options.kinds[Math.floor(random() * options.kinds.length)] ?? 'cut';
  const bytes = Math.floor(random() * options.withinBytes);
  if (fault === 'refused') return { status: random() < 0.5 ? 429 : 503 };
  const answer = await handler(request);
  const { body } = answer;
  if (!(body instanceof Readable)) return answer;
  const isLines = answer.headers?.['content-type']?.startsWith('application/jsonl');
  const broken =
    fault === 'unfinished' && isLines
      ? withoutLastLine()
      : endsAt(fault === 'stalled' ? 'stalled' : 'cut', bytes);
  return { ...answer, body: pipeline(body, broken, () => undefined) };
}

function endsAt(fault: 'cut' | 'stalled', bytes: number): Transform {
  let left = bytes;
  const end = (stream: Transform) => {
    if (fault === 'cut') stream.destroy(new Error('injected: the connection is cut'));
    // Else the callback never comes: nothing more is read, and nothing sent.
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      if (chunk.length < left) {
        left -= chunk.length;
        done(null, chunk);
        return;
      }
      this.push(chunk.subarray(0, left));
      // What was before the cut goes out first.
      setImmediate(() => end(this));
    },
    flush() {
      end(this);
    },
  });
}

function withoutLastLine(): Transform {
  let held = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      const all = Buffer.concat([held, chunk]);
      const lastLine = all.lastIndexOf('\n', -2) + 1;
      held = all.subarray(lastLine);
      done(null, all.subarray(0, lastLine));
    },
  });
}
