import type { Incarnation, TenantId } from '../../src/domain/ids.js';
import type { ProfileName } from '../../src/domain/profiles.js';

/** What the benchmark and the processes it starts agree on. */

export const PROFILE: ProfileName = 'video_colpali_smol500_mv_frame';

/** Documents that each stand-in video has. */
export const STAND_IN_DOCUMENTS = 2;

/** A tenant with one schema. */
export interface BenchTenant {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly schema: string;
}

/** What the plain loop is sent … */
export interface LoopJob extends BenchTenant {
  readonly folder: string;
  readonly concurrency: number;
}

/** … and answers. */
export type LoopAnswer = { readonly videos: number; readonly documents: number } | { readonly error: string };
