import type { TenantId } from './ids.js';

/** Activities in flight an ingest: bounded by the design's 100 a workflow. */
export const MAX_CONCURRENCY = 100;

/** What is wrong with so many at once; undefined: nothing. */
export function concurrencyProblem(videos: number): string | undefined {
  const fits = Number.isInteger(videos) && videos >= 1 && videos <= MAX_CONCURRENCY;
  return fits ? undefined : `concurrency is 1 to ${MAX_CONCURRENCY}`;
}

/** Temporal's priority of an ingest's tasks, 1 first to 5: what a person waits for goes before bulk work. */
export const INGEST_PRIORITY = 4;

/**
 * Weight of a tenant's videos when workers are short, by how many its run has left. Equal shares would double the time of
 * ten videos beside five thousand; with four shares of five they take a quarter longer, and the five thousand hardly
 * notice. Bounded, so that nobody starves whoever has few left.
 */
export function fairnessWeight(videosLeft: number): number {
  if (videosLeft <= 100) return 4;
  return videosLeft <= 1000 ? 2 : 1;
}

/** Of one video's activity; the shape of Temporal's `Priority`. */
export function videoPriority(tenant: TenantId, videosLeft: number) {
  return {
    priorityKey: INGEST_PRIORITY,
    fairnessKey: tenant,
    fairnessWeight: fairnessWeight(videosLeft),
  };
}
