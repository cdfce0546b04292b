import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  ContinueAsNew,
  allHandlersFinished,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { IngestProgress, IngestVideosInput, IngestVideosResult } from '../src/contracts/ingest.js';
import { FEED_REFUSALS } from '../src/domain/errors.js';
import { MAX_CONCURRENCY, videoPriority } from '../src/domain/fairness.js';
import { Rate } from '../src/domain/rate.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import { failureRecord, operationFailure } from './failures.js';
import { ingestDetails } from './ingestDetails.js';
import { Parking, type ParkingState, type PutBack } from './ingestParking.js';
import { ingestProgress, pauseIngest, resumeIngest, setIngestConcurrency } from './messages.js';
import { ingestCount, ingestLedger, ingestListing, ingestVideo, titled } from './options.js';
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
  /** Missing in runs of the first version, which had none. */
  readonly parking?: ParkingState;
}

/** A run of the design holds 5,000 events at most; one video costs 3 of its own and its share of workflow tasks. */
const MAX_HISTORY = 4000;

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
  private stage: 'listing' | 'working' | 'counting' | 'done' = 'listing';
  /** Grows with each thing that an operator changes. */
  private changes = 0;
  private next: number;
  private total: number;
  private counts: { stored: number; unchanged: number; failed: number };
  private documents: number;
  private paused: boolean;
  private concurrency: number;
  private readonly startedAt: number;
  private readonly source: string;
  private readonly inFlight = new Set<number>();
  private readonly rate = new Rate();
  private readonly parking: Parking;
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
    this.parking = new Parking(carried?.parking);

    setHandler(ingestProgress, () => this.progress());
    setHandler(pauseIngest, () => this.setPaused(true));
    setHandler(resumeIngest, () => this.setPaused(false));
    setHandler(
      setIngestConcurrency,
      ({ concurrency }) => {
        this.concurrency = concurrency;
        this.changes++;
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
    this.stage = 'working';
    this.shown();
    while (this.waiting > 0 || this.inFlight.size > 0) {
      if (this.broken !== undefined) throw this.broken;
      const { continueAsNewSuggested, historyLength } = workflowInfo();
      const draining = continueAsNewSuggested || historyLength > MAX_HISTORY;
      if (!draining) this.fill();
      if (draining && this.inFlight.size === 0) await this.handOver();
      await this.change();
    }
    if (this.broken !== undefined) throw this.broken;
  }

  /** Videos that no activity has now and that have not ended. */
  private get waiting(): number {
    return this.total - this.next + 1 + this.parking.size;
  }

  private fill(): void {
    const most = this.parking.probing ? 1 : this.concurrency;
    while (
      !this.paused &&
      this.waiting > 0 &&
      this.inFlight.size < most &&
      this.parking.waitMs(Date.now()) === 0
    ) {
      // Put back ones come last: one that Vespa cannot take must not be what tries whether it takes any.
      const video = this.next <= this.total ? { item: this.next++, silent: 0 } : this.parking.take()!;
      this.launch(video);
    }
  }

  /** Until something is different, or a blocked Vespa may be tried again. */
  private async change(): Promise<void> {
    const before = { size: this.inFlight.size, changes: this.changes };
    const different = () => this.inFlight.size < before.size || this.changes !== before.changes;
    const wait = this.parking.waitMs(Date.now());
    if (wait === 0 || this.paused || this.waiting === 0) await condition(different);
    else await condition(different, wait);
    this.shown();
  }

  async finish(how: 'finished' | 'cancelled'): Promise<IngestVideosResult> {
    await condition(allHandlersFinished);
    // A cancelled run claims no more than its videos, each of which was read back by itself.
    if (how === 'finished' && patched('count what Vespa holds')) await this.count();
    const result = await titled(ingestLedger.finishIngest, 'count the ledger', {
      tenant: this.input.tenant,
      operation: this.input.operation,
      how,
    });
    this.stage = 'done';
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

  private launch(video: PutBack): void {
    const { item } = video;
    this.inFlight.add(item);
    void this.ingest(video)
      .catch((error: unknown) => {
        this.broken ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.inFlight.delete(item);
        this.shown();
      });
  }

  private async ingest(video: PutBack): Promise<void> {
    const { tenant, operation, profile } = this.input;
    const { source } = this;
    const { item } = video;
    const options = {
      summary: `video ${item} of ${this.total}`,
      priority: videoPriority(tenant, this.waiting + 1),
    };
    try {
      const done = await ingestVideo.ingestVideo.executeWithOptions(options, [
        { tenant, operation, profile, source, item },
      ]);
      this.counts[done.state]++;
      this.documents += done.documents;
      this.rate.ended(Date.now());
      if (done.state === 'stored') this.parking.stored();
    } catch (error) {
      // A cancelled item stays pending in the ledger: it can be taken up again by a later run.
      if (isCancellation(error)) return;
      const refusal = refusalOf(error);
      if (refusal && this.parking.putBack(video, refusal.how, refusal.why, Date.now())) return;
      await titled(ingestLedger.failItem, `video ${item} given up`, {
        operation,
        item,
        reason: failureRecord(error).message,
      });
      this.counts.failed++;
      this.rate.ended(Date.now());
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
      parking: this.parking.carried(),
    });
  }

  private setPaused(paused: boolean): IngestProgress {
    this.paused = paused;
    if (!paused) this.parking.tryNow();
    this.changes++;
    return this.shown();
  }

  private phaseNow(): IngestProgress['phase'] {
    if (this.stage !== 'working') return this.stage;
    if (this.paused) return 'paused';
    return this.parking.probing ? 'feed_blocked' : 'ingesting';
  }

  /** That Vespa holds what the registry says, over the whole schema: a loss fails the run. */
  private async count(): Promise<void> {
    this.stage = 'counting';
    this.shown();
    const { tenant, operation, profile } = this.input;
    await titled(ingestCount.countStored, 'compare the count in Vespa', { tenant, operation, profile });
  }

  private progress(): IngestProgress {
    const now = Date.now();
    const left = this.waiting + this.inFlight.size;
    const wait = this.parking.waitMs(now);
    return {
      phase: this.phaseNow(),
      total: this.total,
      videos: { ...this.counts },
      documents: this.documents,
      inFlight: this.inFlight.size,
      concurrency: this.concurrency,
      startedAt: this.startedAt,
      videosPerSecond: this.rate.perSecond(now),
      secondsLeft: this.rate.secondsFor(left, now),
      ...(this.parking.probing
        ? { blocked: { why: this.parking.reason, retryInSeconds: Math.ceil(wait / 1000) } }
        : {}),
    };
  }

  /** Puts the progress where the Temporal UI and the command show it. */
  private shown(): IngestProgress {
    const progress = this.progress();
    setCurrentDetails(ingestDetails(this.input, progress));
    return progress;
  }
}

/** What a video's activity says when the fault is Vespa's, not the video's. */
function refusalOf(error: unknown): { readonly how: 'blocked' | 'silent'; readonly why: string } | undefined {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return undefined;
  const { type, message } = error.cause;
  if (type === FEED_REFUSALS.blocked) return { how: 'blocked', why: message };
  return type === FEED_REFUSALS.silent ? { how: 'silent', why: message } : undefined;
}

/** Runs that an older client began have a `folder`, which is its own source text. */
function sourceOf(input: IngestVideosInput | { readonly folder: string }): string {
  return 'folder' in input ? input.folder : input.source;
}
