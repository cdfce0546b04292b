import { z } from 'zod';
import { profileName, queryText, tenantId } from './common.js';

export const searchInput = z.strictObject({
  tenant: tenantId,
  query: queryText,
  profile: profileName,
  ranking: z.string().min(1).max(100),
  /** Vespa's own cap is 400. */
  topK: z.int().min(1).max(400),
  session: z.string().min(1).max(200).optional(),
});
export type SearchInput = z.infer<typeof searchInput>;

export interface SearchHit {
  /** The whole document id. */
  readonly id: string;
  readonly tenant: string;
  readonly video: string;
  /** Seconds from the beginning of the video. */
  readonly start: number;
  readonly end: number;
  readonly score: number;
}

export interface SearchResult {
  readonly tenant: string;
  readonly hits: readonly SearchHit[];
  readonly latencyMs: number;
}
