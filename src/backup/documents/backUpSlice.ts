import { OpsError } from '../../domain/errors.js';
import { type VisitEvent, VisitMiscounted, type VisitSource, visit } from '../../vespa/visit.js';
import { afterString } from '../format/jsonBytes.js';
import type { Slice } from './slices.js';

/** A part ends at the first checkpoint past either, so that a kill repeats no more than that and one bucket. */
export interface PartLimits {
  readonly bytes: number;
  readonly lines: number;
}
export const PART_LIMITS: PartLimits = { bytes: 8 << 20, lines: 5_000 };
/** Where the id begins in a line, as visits write them. */
const ID_AT = '{"put":"'.length;
/** Times that a slice is begun before the server is held to lose documents for good. */
const MISCOUNTS = 3;

/** Where a slice goes on. It belongs to that slice of that number of slices. */
export interface SlicePosition {
  readonly token: string;
  /** The document before the token, as its line has it: the server sends it again when it begins a bucket. */
  readonly lastId: string;
  readonly nextPart: number;
}

export interface SliceOptions<Stored> {
  /** After the last part that was reported; the beginning when left out. */
  readonly resume?: SlicePosition | undefined;
  /**
   * Stores a part; its lines come without newline. It may be called again for an index whose lines ended with an error:
   * the new part takes the place of what is left of the old one.
   */
  readonly writePart: (index: number, lines: AsyncIterable<Buffer>) => Promise<Stored>;
  /**
   * A part is stored; recorded together with the position, it is never read again.
   *
   * @param position where to go on; undefined when the slice is done
   */
  readonly onPart: (index: number, part: Stored, position: SlicePosition | undefined) => Promise<void>;
  /** The server lost documents on the way: all parts of the slice are void, and it begins anew with part 0. */
  readonly onRestart: () => Promise<void>;
  /** {@link PART_LIMITS} by default. */
  readonly limits?: PartLimits | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each batch of lines. */
  readonly heartbeat?: () => void;
}

/**
 * Writes the documents of a slice in parts. A part is stored and reported before the next is begun; killed at any
 * moment and called again with the last position that was reported, it repeats one part at most.
 *
 * No id comes twice within a part and the part before it, nor across a resumption. Further apart one can come twice only
 * when the cluster moves buckets during the visit; such a pair makes the slice's count and digest differ from those of
 * a later pass ({@link digestSlice}).
 *
 * @returns how many parts the slice has now, those before `resume` included
 * @throws what the visit throws; what `writePart`, `onPart` and `onRestart` throw; OpsError `Unavailable` when the server
 *   keeps losing documents
 */
export async function backUpSlice<Stored>(
  source: VisitSource,
  slice: Slice,
  options: SliceOptions<Stored>,
): Promise<number> {
  let resume = options.resume;
  for (let miscounts = 0; ;) {
    try {
      return await new SliceRun(source, slice, options, resume).run();
    } catch (error) {
      if (!(error instanceof VisitMiscounted)) throw error;
      if (++miscounts === MISCOUNTS)
        throw new OpsError(
          'Unavailable',
          `Vespa loses documents while they are visited: ${error.message}`,
          'upgrade Vespa: releases from January 2025 on have this repaired (vespa-engine/vespa#32645)',
        );
      await options.onRestart();
      resume = undefined;
    }
  }
}

class SliceRun<Stored> {
  private index: number;
  /** Ids of the part in hand, and those it must not repeat. */
  private ids = new Set<string>();
  private idsBefore: ReadonlySet<string>;
  private lastId = '';
  private readonly events: AsyncGenerator<VisitEvent>;

  constructor(
    source: VisitSource,
    slice: Slice,
    private readonly options: SliceOptions<Stored>,
    resume: SlicePosition | undefined,
  ) {
    this.index = resume?.nextPart ?? 0;
    this.idsBefore = new Set(resume === undefined ? [] : [resume.lastId]);
    const { bytes, lines } = options.limits ?? PART_LIMITS;
    this.events = visit(source, {
      ...slice,
      continuation: resume?.token,
      checkpointBytes: bytes,
      checkpointDocuments: lines,
      signal: options.signal,
    });
  }

  async run(): Promise<number> {
    try {
      for (let done = false; !done;) {
        const first = await this.next();
        if (first.kind === 'lines') done = await this.storePart(first.lines);
        else if (first.kind === 'checkpoint') done = first.token === undefined;
      }
      return this.index;
    } finally {
      await this.events.return(undefined);
    }
  }

  /** @returns whether the slice is done */
  private async storePart(first: readonly Buffer[]): Promise<boolean> {
    let end: (VisitEvent & { kind: 'checkpoint' | 'rewind' }) | undefined;
    const next = () => this.next();
    async function* lines(): AsyncGenerator<Buffer> {
      yield* first;
      for (;;) {
        const event = await next();
        if (event.kind === 'lines') {
          yield* event.lines;
          continue;
        }
        end = event;
        if (event.kind === 'rewind') throw new PartVoid(event.reason);
        return;
      }
    }
    let stored: Stored;
    try {
      stored = await this.options.writePart(this.index, lines());
    } catch (error) {
      if (end?.kind === 'rewind') return false;
      throw error;
    }
    if (end?.kind !== 'checkpoint') throw new Error('a part was stored without having been read to its end');
    const { token } = end;
    const nextPart = this.index + 1;
    const position = token === undefined ? undefined : { token, lastId: this.lastId, nextPart };
    await this.options.onPart(this.index, stored, position);
    this.index = nextPart;
    this.idsBefore = this.ids;
    this.ids = new Set();
    return token === undefined;
  }

  /** Documents that are new, or what else happens next. */
  private async next(): Promise<VisitEvent> {
    for (;;) {
      const next = await this.events.next();
      if (next.done) throw new Error('a visit ended without saying so');
      const event = next.value;
      this.options.heartbeat?.();
      if (event.kind === 'rewind') this.ids = new Set();
      if (event.kind !== 'lines') return event;
      const lines = event.lines.filter((line) => this.isNew(line));
      if (lines.length > 0) return { ...event, lines };
    }
  }

  private isNew(line: Buffer): boolean {
    // With its escapes: one server writes one id always alike.
    const id = line.toString('latin1', ID_AT, afterString(line, ID_AT - 1) - 1);
    this.lastId = id;
    if (this.ids.has(id) || this.idsBefore.has(id)) return false;
    this.ids.add(id);
    return true;
  }
}

/** Ends the lines of a part that is taken back. */
class PartVoid extends Error {
  override readonly name = 'PartVoid';
}
