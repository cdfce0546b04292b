import { z } from 'zod';
import { operationId, principal, profileName, reason, tenantId } from './common.js';

/** Activities in flight per ingest: bounded by the design's 100 a workflow. */
export const MAX_CONCURRENCY = 100;

/** Input of the workflow `ingestVideos`. */
export const ingestVideosInput = z.strictObject({
  tenant: tenantId,
  operation: operationId,
  profile: profileName,
  /** A folder on the data workers' machine, absolute. */
  folder: z.string().min(1).max(4096),
  /** Takes up a former run: its items that are still pending, or that failed. */
  from: z.strictObject({ operation: operationId, items: z.enum(['pending', 'failed']) }).optional(),
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
