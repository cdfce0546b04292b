import type { ManifestPart } from '../contracts/backup.js';
import type { PhoenixClient } from '../phoenix/client.js';
import type { BackupPlace } from './format/place.js';
import { type WriteOptions, writePart } from './format/writePart.js';
import { exportTraces } from './traces/export.js';
import { TRACE_KINDS, type TraceKind } from './traces/lines.js';
import type { TracesCall } from './traces/retrying.js';

const PART_BYTES = 8 << 20;
const PART_LINES = 20_000;

export interface TraceSource {
  readonly phoenix: PhoenixClient;
  readonly project: string;
  readonly place: BackupPlace;
  readonly options: WriteOptions;
  readonly call: TracesCall;
  /** Of a part that is about to be written. Given once: an attempt that is thought dead overwrites no part of another. */
  readonly nextNumber: () => Promise<number>;
}

/**
 * Writes a project's spans, annotations and notes in parts: at least one of each kind, so that a project without any can
 * be told from none. They are those of one export: begun again, it may be cut otherwise.
 *
 * @returns all of them, and how many lines there are of each kind
 */
export async function writeTraceParts({
  phoenix,
  project,
  place,
  options,
  call,
  nextNumber,
}: TraceSource): Promise<{ parts: ManifestPart[]; counts: Record<TraceKind, number> }> {
  const parts: ManifestPart[] = [];
  const counts = { spans: 0, annotations: 0, notes: 0 };
  const traces = await exportTraces(phoenix, project, call);
  if (traces === null) return { parts, counts };
  for (const kind of TRACE_KINDS) {
    const lines = new Cut(traces.lines(kind));
    try {
      do {
        const part = await writePart(place, { kind, index: await nextNumber() }, lines.next(), options);
        counts[kind] += part.count;
        parts.push(part);
      } while (!(await lines.isOver()));
    } finally {
      await lines.close();
    }
  }
  return { parts, counts };
}

/** Cuts one stream of lines into streams of bounded length. */
class Cut {
  private ahead: Promise<IteratorResult<Buffer, unknown>> | undefined;

  constructor(private readonly lines: AsyncGenerator<Buffer>) {}

  async isOver(): Promise<boolean> {
    return (await (this.ahead ??= this.lines.next())).done === true;
  }

  async *next(): AsyncGenerator<Buffer> {
    let bytes = 0;
    for (let count = 0; count < PART_LINES && bytes < PART_BYTES; count++) {
      const line = await (this.ahead ??= this.lines.next());
      if (line.done) return;
      this.ahead = undefined;
      bytes += line.value.length;
      yield line.value;
    }
  }

  async close(): Promise<void> {
    await this.ahead?.catch(() => undefined);
    await this.lines.return(undefined);
  }
}
