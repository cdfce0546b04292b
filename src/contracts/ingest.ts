import { z } from 'zod';
import { parseSource, sourceText } from '../domain/sources.js';
import { MAX_SETTLE_SECONDS } from '../domain/watches.js';
import { incarnation, operationId, principal, profileName, reason, tenantId } from './common.js';

/** Activities in flight per ingest: bounded by the design's 100 a workflow. */
export const MAX_CONCURRENCY = 100;

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
  /** Takes up a former run: its items that are still pending, or that failed. */
  from: z.strictObject({ operation: operationId, items: z.enum(['pending', 'failed']) }).optional(),
  /** Only what is new or changed, by the marks of its files; else every video is read to tell. */
  onlyChanged: z.boolean().optional(),
  /** With `onlyChanged`: seconds a file must have been left alone, so that none is read half written. */
  settleSeconds: z.int().min(0).max(MAX_SETTLE_SECONDS).optional(),
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

/** Query `progress` of `ingestVideos`. */
export interface IngestProgress {
  readonly phase: 'listing' | 'ingesting' | 'paused' | 'done';
  readonly total: number;
  readonly videos: VideoCounts;
  readonly documents: number;
  readonly inFlight: number;
  readonly concurrency: number;
  /** Milliseconds since the epoch, by workflow time. */
  readonly startedAt: number;
}
