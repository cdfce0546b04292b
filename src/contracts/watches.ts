import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import { MAX_CONCURRENCY } from '../domain/fairness.js';
import { MAX_SETTLE_SECONDS, type WatchName, parseWatchName } from '../domain/watches.js';
import { incarnation, profileName, tenantId } from './common.js';
import { type VideoCounts, videoSource } from './ingest.js';

const watchName = z.custom<WatchName>((value) => {
  try {
    parseWatchName(value);
    return true;
  } catch (error) {
    if (error instanceof OpsError) return false;
    throw error;
  }
}, 'not the name of a watch');

/** Input of the workflow `watchVideos`, kept in its schedule: what a watch is. */
export const watchVideosInput = z.strictObject({
  version: z.literal(1),
  tenant: tenantId,
  /** A re-created tenant has not asked for it. */
  incarnation,
  name: watchName,
  source: videoSource,
  profile: profileName,
  concurrency: z.int().min(1).max(MAX_CONCURRENCY),
  settleSeconds: z.int().min(0).max(MAX_SETTLE_SECONDS),
  /** `15m` or a cron expression, as it was asked for: the server gives it back in another form. */
  every: z.string().max(200),
});
export type WatchVideosInput = z.infer<typeof watchVideosInput>;

/** Result of one round of `watchVideos`. */
export interface WatchVideosResult {
  /** `skipped`: the tenant is not open for it, `why` says how. */
  readonly outcome: 'unchanged' | 'skipped' | 'ingested';
  /** Videos that were new or changed. */
  readonly changed: number;
  readonly why?: string;
  readonly operation?: string;
  readonly videos?: VideoCounts;
  readonly documents?: number;
}
