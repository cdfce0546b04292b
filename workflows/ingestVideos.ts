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
  workflowInfo,
} from '@temporalio/workflow';
import type {
  IngestProgress,
  IngestVideosInput,
  IngestVideosResult,
  TurnResult,
} from '../src/contracts/ingest.js';
import { FEED_REFUSALS } from '../src/domain/errors.js';
import { concurrencyProblem, videoPriority } from '../src/domain/fairness.js';
import { Rate } from '../src/domain/rate.js';
import { failureRecord, operationFailure } from './failures.js';
import { ingestDetails } from './ingestDetails.js';
import type { Parking, PutBack } from './ingestParking.js';
import { Queue, type QueueState } from './ingestQueue.js';
import { ingestProgress, pauseIngest, resumeIngest, setIngestConcurrency } from './messages.js';
import { noteState } from './operationState.js';
import { ingestCount, ingestLedger, ingestListing, ingestVideo, titled } from './options.js';
import { versioned } from './versioning.js';

/** Carried over a continue-as-new: a cursor and counters. The items, their outcomes and reasons are in Postgres. */
export interface IngestState extends QueueState {
  readonly version: 1;
  readonly total: number;
  readonly counts: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
  readonly paused: boolean;
  readonly concurrency: number;
  readonly startedAt: number;
}

/** A run of the design holds 5,000 events at most; one turn costs 3 of its own and its share of workflow tasks. */
const MAX_HISTORY = 4000;

/**
 * Ingests the videos of a source: lists it into the ledger, then keeps a window of turns in flight, each an activity that
 * does some videos one after the other. Every item ends as exactly one of `stored`, `unchanged` or `failed`; a failed one
 * never fails the others.
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
  private total: number;
  private queue: Queue;
  private counts: { stored: number; unchanged: number; failed: number };
  private documents: number;
  private paused: boolean;
  private concurrency: number;
  private readonly startedAt: number;
  private readonly source: string;
  private turns = 0;
  /** Videos that turns have. */
  private handedOut = 0;
  /** Runs begun before turns were have an activity for each video. */
  private byTurns = false;
  private readonly rate = new Rate();
  private noting: Promise<void> = Promise.resolve();
  /** The ledger itself could not be written: the run must not go on counting. */
  private broken: Error | undefined;

  constructor(
    private readonly input: IngestVideosInput,
    carried: IngestState | undefined,
  ) {
    this.source = sourceOf(input);
    this.total = carried?.total ?? 0;
    this.queue = new Queue(this.total, carried ?? { next: 1 });
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
        this.changes++;
        return this.shown();
      },
      {
        validator: ({ concurrency }: { readonly concurrency: number }) => {
          const message = concurrencyProblem(concurrency);
          if (message !== undefined) throw operationFailure({ code: 'InvalidInput', message });
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
    this.queue = new Queue(this.total, { next: 1 });
  }

  /** Hands the videos out in turns, `concurrency` at a time, until all have ended; continues as new when long. */
  async work(): Promise<void> {
    this.stage = 'working';
    this.byTurns = patched('several videos a turn');
    if (this.paused) this.notePaused();
    this.shown();
    while (this.queue.size > 0 || this.turns > 0) {
      if (this.broken !== undefined) throw this.broken;
      const { continueAsNewSuggested, historyLength } = workflowInfo();
      const draining = continueAsNewSuggested || historyLength > MAX_HISTORY;
      if (!draining) this.fill();
      if (draining && this.turns === 0) await this.handOver();
      await this.change();
    }
    if (this.broken !== undefined) throw this.broken;
  }

  private get parking(): Parking {
    return this.queue.parking;
  }

  private fill(): void {
    const most = this.parking.probing ? 1 : this.concurrency;
    while (!this.paused && this.queue.size > 0 && this.turns < most && this.parking.waitMs(Date.now()) === 0)
      this.launch(this.queue.take(this.byTurns ? this.concurrency : Infinity));
  }

  /** Until something is different, or a blocked Vespa may be tried again. */
  private async change(): Promise<void> {
    const before = { turns: this.turns, changes: this.changes };
    const different = () => this.turns < before.turns || this.changes !== before.changes;
    const wait = this.parking.waitMs(Date.now());
    if (wait === 0 || this.paused || this.queue.size === 0) await condition(different);
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
    noteState(state);
    return result;
  }

  async giveUp(error: unknown): Promise<never> {
    await condition(() => this.turns === 0);
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
    noteState('failed');
    throw operationFailure(failure);
  }

  private launch(videos: readonly PutBack[]): void {
    this.turns++;
    this.handedOut += videos.length;
    void this.takeTurn(videos)
      .catch((error: unknown) => {
        this.broken ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.turns--;
        this.handedOut -= videos.length;
        this.shown();
      });
  }

  private async takeTurn(videos: readonly PutBack[]): Promise<void> {
    let ended: TurnResult;
    try {
      ended = await this.ingest(videos);
    } catch (error) {
      // Cancelled items stay pending in the ledger: they can be taken up again by a later run.
      if (isCancellation(error)) return;
      if (videos.length > 1) return this.queue.tryAlone(videos.map(({ item }) => item));
      const [video] = videos as [PutBack];
      const refusal = refusalOf(error);
      return refusal === undefined
        ? this.giveUpVideo(video.item, failureRecord(error).message)
        : this.putBack(video, refusal);
    }
    for (const { state, documents } of ended.done) {
      this.counts[state]++;
      this.documents += documents;
      this.rate.ended(Date.now());
    }
    if (ended.done.some(({ state }) => state === 'stored')) this.parking.stored();
    this.queue.handBack(ended.left);
    const { refused } = ended;
    if (refused)
      await this.putBack(
        videos.find(({ item }) => item === refused.item)!,
        refused,
      );
  }

  private async putBack(video: PutBack, { how, why }: Refusal): Promise<void> {
    if (!this.parking.putBack(video, how, why, Date.now())) await this.giveUpVideo(video.item, why);
  }

  private async ingest(videos: readonly PutBack[]): Promise<TurnResult> {
    const { tenant, operation, profile } = this.input;
    const of = { tenant, operation, profile, source: this.source };
    const items = videos.map(({ item }) => item);
    const [first = 0, last] = [items[0], items.at(-1)];
    const options = {
      summary: `video ${items.length === 1 ? first : `${first} … ${last}`} of ${this.total}`,
      priority: videoPriority(tenant, this.queue.size + items.length),
    };
    if (this.byTurns) return ingestVideo.ingestTurn.executeWithOptions(options, [{ ...of, items }]);
    const end = await ingestVideo.ingestVideo.executeWithOptions(options, [{ ...of, item: first }]);
    return { done: [{ item: first, ...end }], left: [] };
  }

  private async giveUpVideo(item: number, reason: string): Promise<void> {
    const { operation } = this.input;
    await titled(ingestLedger.failItem, `video ${item} given up`, { operation, item, reason });
    this.counts.failed++;
    this.rate.ended(Date.now());
  }

  private async handOver(): Promise<never> {
    await condition(allHandlersFinished);
    await this.noting;
    return continueAsNew<typeof ingestVideos>(this.input, {
      version: 1,
      ...this.queue.carried(),
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
    if (!paused) this.parking.tryNow();
    this.changes++;
    this.notePaused();
    return this.shown();
  }

  /** For the turns in work to end after the video they are at. */
  private notePaused(): void {
    if (!this.byTurns) return;
    const { operation } = this.input;
    const { paused } = this;
    this.noting = this.noting.then(() =>
      titled(ingestLedger.notePaused, paused ? 'pause' : 'go on', { operation, paused }),
    );
    this.noting.catch((error: unknown) => {
      this.broken ??= error instanceof Error ? error : new Error(String(error));
      this.changes++;
    });
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
    const left = this.queue.size + this.handedOut;
    const wait = this.parking.waitMs(now);
    return {
      phase: this.phaseNow(),
      total: this.total,
      videos: { ...this.counts },
      documents: this.documents,
      inFlight: this.turns,
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

type Refusal = Pick<NonNullable<TurnResult['refused']>, 'how' | 'why'>;

/** What the activity of one video says when the fault is Vespa's, not the video's. */
function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return undefined;
  const { type, message } = error.cause;
  if (type === FEED_REFUSALS.blocked) return { how: 'blocked', why: message };
  return type === FEED_REFUSALS.silent ? { how: 'silent', why: message } : undefined;
}

/** Runs that an older client began have a `folder`, which is its own source text. */
function sourceOf(input: IngestVideosInput | { readonly folder: string }): string {
  return 'folder' in input ? input.folder : input.source;
}
