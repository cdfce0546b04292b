import {
  CancellationScope,
  ContinueAsNew,
  allHandlersFinished,
  condition,
  continueAsNew,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { IngestProgress, IngestVideosInput, IngestVideosResult } from '../src/contracts/ingest.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import { failureRecord, operationFailure } from './failures.js';
import { ingestProgress, pauseIngest, resumeIngest, setIngestConcurrency } from './messages.js';
import { ingestLedger, ingestListing, ingestVideo, titled } from './options.js';
import { versioned } from './versioning.js';

/** Carried over a continue-as-new: a cursor and counters. The items, their outcomes and reasons are in Postgres. */
export interface IngestState {
  readonly version: 1;
  /** Items `1 … next - 1` have been given to an activity and have ended. */
  readonly next: number;
  readonly total: number;
  readonly counts: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
  readonly paused: boolean;
  readonly concurrency: number;
  readonly startedAt: number;
}

/** A run of the design holds 5,000 events at most; one video costs 3 of its own and its share of workflow tasks. */
const MAX_HISTORY = 4000;
const MAX_CONCURRENCY = 100;

/**
 * Ingests the videos of a source: lists it into the ledger, then keeps a window of one activity per video in flight. Every
 * item ends as exactly one of `stored`, `unchanged` or `failed`; a failed one never fails the others.
 */
export async function ingestVideos(
  input: IngestVideosInput,
  carried?: IngestState,
): Promise<IngestVideosResult> {
  const run = new IngestRun(input, carried);
  try {
    if (!carried) await run.list();
    await run.work();
    return await run.finish('finished');
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    return CancellationScope.nonCancellable(() => run.giveUp(error));
  }
}
versioned('PINNED', ingestVideos);

class IngestRun {
  private phase: IngestProgress['phase'] = 'listing';
  private next: number;
  private total: number;
  private counts: { stored: number; unchanged: number; failed: number };
  private documents: number;
  private paused: boolean;
  private concurrency: number;
  private readonly startedAt: number;
  private readonly source: string;
  private readonly inFlight = new Set<number>();
  /** The ledger itself could not be written: the run must not go on counting. */
  private broken: Error | undefined;

  constructor(
    private readonly input: IngestVideosInput,
    carried: IngestState | undefined,
  ) {
    this.source = sourceOf(input);
    this.next = carried?.next ?? 1;
    this.total = carried?.total ?? 0;
    this.counts = { ...(carried?.counts ?? { stored: 0, unchanged: 0, failed: 0 }) };
    this.documents = carried?.documents ?? 0;
    this.paused = carried?.paused ?? false;
    this.concurrency = carried?.concurrency ?? input.concurrency;
    this.startedAt = carried?.startedAt ?? Date.now();

    setHandler(ingestProgress, () => this.progress());
    setHandler(pauseIngest, () => this.setPaused(true));
    setHandler(resumeIngest, () => this.setPaused(false));
    setHandler(
      setIngestConcurrency,
      ({ concurrency }) => {
        this.concurrency = concurrency;
        return this.shown();
      },
      {
        validator: ({ concurrency }) => {
          if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
            throw operationFailure({
              code: 'InvalidInput',
              message: `concurrency is 1 to ${MAX_CONCURRENCY}`,
            });
          }
        },
      },
    );
    this.shown();
  }

  /** Registers the operation and reads the source into the ledger; one that is missing or holds no video fails it. */
  async list(): Promise<void> {
    await titled(ingestLedger.beginIngest, `profile ${this.input.profile}`, this.input);
    const ledger = await titled(ingestListing.listVideos, this.source.slice(-150), this.input);
    this.total = ledger.items;
  }

  /** Gives each item to an activity, `concurrency` at a time, until all have ended; continues as new when long. */
  async work(): Promise<void> {
    this.phase = this.paused ? 'paused' : 'ingesting';
    this.shown();
    while (this.next <= this.total || this.inFlight.size > 0) {
      if (this.broken !== undefined) throw this.broken;
      const { continueAsNewSuggested, historyLength } = workflowInfo();
      const draining = continueAsNewSuggested || historyLength > MAX_HISTORY;
      while (!draining && !this.paused && this.next <= this.total && this.inFlight.size < this.concurrency) {
        this.launch(this.next++);
      }
      if (draining && this.inFlight.size === 0) await this.handOver();
      const before = this.inFlight.size;
      const paused = this.paused;
      const concurrency = this.concurrency;
      await condition(
        () => this.inFlight.size < before || this.paused !== paused || this.concurrency !== concurrency,
      );
    }
    if (this.broken !== undefined) throw this.broken;
  }

  async finish(how: 'finished' | 'cancelled'): Promise<IngestVideosResult> {
    await condition(allHandlersFinished);
    const result = await titled(ingestLedger.finishIngest, 'count the ledger', {
      tenant: this.input.tenant,
      operation: this.input.operation,
      how,
    });
    this.phase = 'done';
    this.counts = { ...result.videos };
    this.documents = result.documents;
    this.shown();
    const state =
      how === 'cancelled' ? 'cancelled' : result.videos.failed > 0 ? 'completed_with_failures' : 'completed';
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: state }]);
    return result;
  }

  async giveUp(error: unknown): Promise<never> {
    await condition(() => this.inFlight.size === 0);
    if (isCancellation(error)) {
      await this.finish('cancelled');
      throw error;
    }
    const failure = failureRecord(error);
    await titled(ingestLedger.failIngest, failure.message.slice(0, 150), {
      tenant: this.input.tenant,
      operation: this.input.operation,
      failure,
    });
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: 'failed' }]);
    throw operationFailure(failure);
  }

  private launch(item: number): void {
    this.inFlight.add(item);
    void this.ingest(item)
      .catch((error: unknown) => {
        this.broken ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.inFlight.delete(item);
        this.shown();
      });
  }

  private async ingest(item: number): Promise<void> {
    const { tenant, operation, profile } = this.input;
    const { source } = this;
    try {
      const done = await titled(ingestVideo.ingestVideo, `video ${item} of ${this.total}`, {
        tenant,
        operation,
        profile,
        source,
        item,
      });
      this.counts[done.state]++;
      this.documents += done.documents;
    } catch (error) {
      // A cancelled item stays pending in the ledger: it can be taken up again by a later run.
      if (isCancellation(error)) return;
      await titled(ingestLedger.failItem, `video ${item} given up`, {
        operation,
        item,
        reason: failureRecord(error).message,
      });
      this.counts.failed++;
    }
  }

  private async handOver(): Promise<never> {
    await condition(allHandlersFinished);
    return continueAsNew<typeof ingestVideos>(this.input, {
      version: 1,
      next: this.next,
      total: this.total,
      counts: this.counts,
      documents: this.documents,
      paused: this.paused,
      concurrency: this.concurrency,
      startedAt: this.startedAt,
    });
  }

  private setPaused(paused: boolean): IngestProgress {
    this.paused = paused;
    if (this.phase !== 'listing' && this.phase !== 'done') this.phase = paused ? 'paused' : 'ingesting';
    return this.shown();
  }

  private progress(): IngestProgress {
    return {
      phase: this.phase,
      total: this.total,
      videos: { ...this.counts },
      documents: this.documents,
      inFlight: this.inFlight.size,
      concurrency: this.concurrency,
      startedAt: this.startedAt,
    };
  }

  /** Puts the progress where the Temporal UI shows it. */
  private shown(): IngestProgress {
    const { stored, unchanged, failed } = this.counts;
    const done = stored + unchanged + failed;
    const seconds = Math.max(1, (Date.now() - this.startedAt) / 1000);
    const rate = done / seconds;
    const left = rate > 0 ? `${Math.ceil((this.total - done) / rate)} s` : 'unknown';
    // A list: the UI sets a table's columns without any space between them.
    setCurrentDetails(
      `**Ingest into \`${this.input.tenant}\`** (${this.input.profile}): ${this.phase}\n\n` +
        `- **${done} of ${this.total}** videos: ${stored} stored, ${unchanged} unchanged, ${failed} failed\n` +
        `- **${this.inFlight.size}** in work, ${this.concurrency} at most\n` +
        `- **${this.documents}** documents\n` +
        `- **${rate.toFixed(2)}** videos/s, ${this.phase === 'done' ? 'nothing' : left} left`,
    );
    return this.progress();
  }
}

/** Runs that an older client began have a `folder`, which is its own source text. */
function sourceOf(input: IngestVideosInput | { readonly folder: string }): string {
  return 'folder' in input ? input.folder : input.source;
}
