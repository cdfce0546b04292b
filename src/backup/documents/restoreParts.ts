import { OpsError } from '../../domain/errors.js';
import { documentIdText } from '../../vespa/documents.js';
import { type FeedReport, type FeedTarget, feedAll } from '../../vespa/feeding/feeder.js';
import type { FeedItem } from '../../vespa/feeding/operation.js';
import { type DocumentsOf, documentLine } from '../format/documentLine.js';

/** A part to be restored; `Part` is what the caller knows it by. */
export interface PartLines<Part> {
  readonly part: Part;
  /** Without newlines; read once, when its turn comes. */
  readonly lines: AsyncIterable<Buffer>;
}

export interface RestoreOptions<Part> {
  /** Which document a line becomes; it may take over the line's bytes. See {@link putOf}. */
  readonly put: (line: Buffer) => FeedItem;
  /**
   * All of a part was read to its end and acknowledged; recorded, the part is never restored again. Called one part at a
   * time; what it throws ends the restore.
   */
  readonly onPart?: (part: Part, documents: number) => Promise<void> | void;
  readonly signal?: AbortSignal | undefined;
  /** Called with each document that is stored. */
  readonly onProgress?: (stored: number) => void;
  /** Most puts in flight; what the target can carry by default. */
  readonly maxInFlight?: number;
}

const OPEN = '{'.charCodeAt(0);
/** Between the id and the fields object. */
const BEFORE_FIELDS = ',"fields":'.length;

/**
 * The put that stores a line's document again. Its body is the line's own bytes without a copy; the line is no document
 * afterwards.
 *
 * @throws OpsError `VerificationFailed` as {@link documentLine}
 */
export function putOf(line: Buffer, of: DocumentsOf): FeedItem {
  const { user, fields } = documentLine(line, of);
  const bodyAt = line.length - 1 - fields.length - BEFORE_FIELDS;
  // The comma before "fields" becomes the brace that opens the body.
  line[bodyAt] = OPEN;
  return { at: { ...of, id: user }, body: line.subarray(bodyAt) };
}

/**
 * Puts every document of the parts, one part after the other and as fast as the server takes them: one feed for all, as
 * each feed has to find anew how many puts at a time are best. Of one document in two parts the later part's stays. Puts
 * are whole documents: a part may be restored again from its beginning after a kill.
 *
 * @returns when each document was acknowledged and each part reported
 * @throws OpsError `Rejected` naming the first document that the server refuses for good; FeedBlocked, RetriesExhausted,
 *   the signal's reason, the lines' own error
 */
export async function restoreParts<Part>(
  target: FeedTarget,
  parts: Iterable<PartLines<Part>> | AsyncIterable<PartLines<Part>>,
  options: RestoreOptions<Part>,
): Promise<FeedReport> {
  const { put, signal, onProgress, maxInFlight } = options;
  const reports = new Reports(options.onPart);
  let refused: { readonly error: Error; readonly said: OpsError } | undefined;
  let stored = 0;

  async function* items(): AsyncGenerator<RestoredItem> {
    for await (const { part, lines } of parts) {
      const progress = new PartProgress(() => reports.add(part, progress.acknowledged));
      for await (const line of lines) {
        reports.throwIfFailed();
        progress.pulled++;
        yield { ...put(line), progress };
      }
      progress.end();
    }
  }
  const report = await feedAll(target, items(), {
    signal,
    stopOnFailure: true,
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    onEnd: (operation, outcome) => {
      if (outcome.state === 'acknowledged') {
        (operation as RestoredItem).progress.acknowledge();
        onProgress?.(++stored);
      }
      if (outcome.state === 'failed')
        refused ??= {
          error: outcome.error,
          said: new OpsError(
            'Rejected',
            `Vespa refuses ${documentIdText(operation.at)}: ${outcome.error.message}`,
            'compare its schema with the one in the backup, then run the restore again: it goes on where it was',
          ),
        };
    },
  }).catch(async (error: unknown) => {
    await reports.settled();
    throw error === refused?.error ? refused?.said : error;
  });
  await reports.settled();
  reports.throwIfFailed();
  return report;
}

interface RestoredItem extends FeedItem {
  readonly progress: PartProgress;
}

/** A part is done when it was read to its end and all of it is acknowledged, whichever comes last. */
class PartProgress {
  pulled = 0;
  acknowledged = 0;
  private ended = false;

  constructor(private readonly onDone: () => void) {}

  acknowledge(): void {
    this.acknowledged++;
    this.check();
  }

  end(): void {
    this.ended = true;
    this.check();
  }

  private check(): void {
    if (this.ended && this.acknowledged === this.pulled) this.onDone();
  }
}

/** Tells of parts one after the other, beside the feed. */
class Reports<Part> {
  private last: Promise<void> = Promise.resolve();
  private failure: { readonly error: unknown } | undefined;

  constructor(private readonly onPart: RestoreOptions<Part>['onPart']) {}

  add(part: Part, documents: number): void {
    this.last = this.last
      .then(() => (this.failure === undefined ? this.onPart?.(part, documents) : undefined))
      .catch((error: unknown) => void (this.failure ??= { error }));
  }

  settled(): Promise<void> {
    return this.last;
  }

  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }
}
