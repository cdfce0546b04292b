import { z } from 'zod';
import { MAX_CONCURRENCY } from '../domain/fairness.js';
import { parseSource, sourceText } from '../domain/sources.js';
import { MAX_SETTLE_SECONDS } from '../domain/watches.js';
import { incarnation, operationId, principal, profileName, reason, tenantId } from './common.js';

/**
 * Where the videos are, as `sourceText` writes it: an absolute folder on the data workers' machine, a list file
 * `list:/…`, or `s3://bucket/prefix`.
 */
export const videoSource = z.string().transform((text, context) => {
  try {
    return sourceText(parseSource(text));
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

/** Input of the workflow `ingestVideos`. */
export const ingestVideosInput = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  profile: profileName,
  source: videoSource,
  /** Leaves out what is stored already and looks in the source as it did then, without reading it. */
  onlyChanged: z.boolean().optional(),
  /** Takes up a former run: its items that are still pending, or that failed. */
  from: z.strictObject({ operation: operationId, items: z.enum(['pending', 'failed']) }).optional(),
  /**
   * With `onlyChanged`, of a run that nobody started: leaves out files that were written to in the last seconds, which
   * may be half there, and what was refused for its own fault and looks the same.
   */
  unattended: z.strictObject({ settleSeconds: z.int().min(0).max(MAX_SETTLE_SECONDS) }).optional(),
  /** The life it is for; whatever lives under the id when left out. */
  incarnation: incarnation.optional(),
  /** Videos in work at once. */
  concurrency: z.int().min(1).max(MAX_CONCURRENCY),
  principal,
  reason,
});
export type IngestVideosInput = z.infer<typeof ingestVideosInput>;

export interface VideoCounts {
  readonly stored: number;
  readonly unchanged: number;
  readonly failed: number;
}

/** Result of `ingestVideos`: counts only; the failures are rows of the ledger. */
export interface IngestVideosResult {
  readonly operation: string;
  readonly videos: VideoCounts;
  /** Documents of the stored and unchanged videos of this run. */
  readonly documents: number;
}

/** How an item of an ingest's ledger ended. */
export interface ItemEnd {
  readonly item: number;
  readonly state: 'stored' | 'unchanged' | 'failed';
  readonly documents: number;
}

/** What came of a turn. */
export interface TurnResult {
  readonly done: readonly ItemEnd[];
  /** Not begun, through no fault of theirs. */
  readonly left: readonly number[];
  /** The video that found Vespa taking no writes, or silent; it is in neither of the others. */
  readonly refused?: { readonly item: number; readonly how: 'blocked' | 'silent'; readonly why: string };
}

/** Query `progress` of `ingestVideos`. */
export interface IngestProgress {
  /**
   * `feed_blocked`: Vespa takes no writes or does not answer; the run waits and tries one video now and then.
   * `counting`: what Vespa holds is compared with the registry.
   */
  readonly phase: 'listing' | 'ingesting' | 'paused' | 'feed_blocked' | 'counting' | 'done';
  readonly total: number;
  readonly videos: VideoCounts;
  readonly documents: number;
  /** Videos in work. */
  readonly inFlight: number;
  readonly concurrency: number;
  /** Milliseconds since the epoch, by workflow time. */
  readonly startedAt: number;
  /** Of the last 64 that ended; null while too few have. */
  readonly videosPerSecond: number | null;
  readonly secondsLeft: number | null;
  /** While `feed_blocked`, or paused in it. */
  readonly blocked?: { readonly why: string; readonly retryInSeconds: number };
}
