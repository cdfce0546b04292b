import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

/** How a video is cut: one document a frame, or one document a chunk. Times in seconds. */
export type Segmentation =
  | { readonly kind: 'frames'; readonly fps: number; readonly maxFrames: number }
  | {
      readonly kind: 'chunks';
      readonly seconds: number;
      readonly overlapSeconds: number;
      readonly framesPerChunk: number;
    };

/** A way to index video; its name is also the name of its base schema. */
export interface Profile {
  readonly name: ProfileName;
  readonly segmentation: Segmentation;
  /** Float width of one patch vector; the binarized form has `dimensions / 8` bytes. */
  readonly dimensions: number;
  /** Rows of the multi-vector: the embedded encoder's grid has `grid * grid` patches per frame. */
  readonly grid: number;
  /** Raised when segmentation or encoding changes what is stored: an unchanged video is then indexed again. */
  readonly version: number;
  readonly hasDescription: boolean;
}

export const PROFILE_NAMES = [
  'video_colpali_smol500_mv_frame',
  'video_videoprism_base_mv_chunk_30s',
  'video_colqwen_omni_mv_chunk_30s',
] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** The memory schema every tenant with `memory_enabled` has beside its profiles. */
export const MEMORY_SCHEMA = 'agent_memories';
export const BASE_SCHEMAS = [...PROFILE_NAMES, MEMORY_SCHEMA] as const;
export type BaseSchema = (typeof BASE_SCHEMAS)[number];

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  video_colpali_smol500_mv_frame: {
    name: 'video_colpali_smol500_mv_frame',
    segmentation: { kind: 'frames', fps: 1, maxFrames: 3000 },
    dimensions: 128,
    grid: 8,
    version: 1,
    hasDescription: true,
  },
  video_videoprism_base_mv_chunk_30s: {
    name: 'video_videoprism_base_mv_chunk_30s',
    segmentation: { kind: 'chunks', seconds: 30, overlapSeconds: 0, framesPerChunk: 16 },
    dimensions: 768,
    grid: 4,
    version: 1,
    hasDescription: false,
  },
  video_colqwen_omni_mv_chunk_30s: {
    name: 'video_colqwen_omni_mv_chunk_30s',
    segmentation: { kind: 'chunks', seconds: 30, overlapSeconds: 5, framesPerChunk: 10 },
    dimensions: 128,
    grid: 8,
    version: 1,
    hasDescription: false,
  },
};

/** What `tenant create` deploys when `--profiles` is not given (the guide's two). */
export const DEFAULT_PROFILES: readonly ProfileName[] = [
  'video_colpali_smol500_mv_frame',
  'video_videoprism_base_mv_chunk_30s',
];

/** @throws OpsError `InvalidInput` naming the known profiles */
export function parseProfile(text: unknown): ProfileName {
  if ((PROFILE_NAMES as readonly unknown[]).includes(text)) return text as ProfileName;
  throw new OpsError(
    'InvalidInput',
    `no such profile: ${quoteForMessage(text)}`,
    `profiles: ${PROFILE_NAMES.join(', ')}`,
  );
}

/** @throws OpsError `InvalidInput` naming the known base schemas */
export function parseBaseSchema(text: unknown): BaseSchema {
  if ((BASE_SCHEMAS as readonly unknown[]).includes(text)) return text as BaseSchema;
  throw new OpsError(
    'InvalidInput',
    `no such base schema: ${quoteForMessage(text)}`,
    `base schemas: ${BASE_SCHEMAS.join(', ')}`,
  );
}
