import { ANNOTATIONS, labelOf } from '../domain/optimization.js';
import { type StoredAnnotation, readAnnotations } from '../phoenix/annotations.js';
import type { PhoenixClient } from '../phoenix/client.js';
import type { Pool } from '../registry/database.js';
import { type StoredExperience, listExperiences, setLabel } from '../registry/experiences.js';
import type { Optimized } from './enabled.js';

/** Experiences whose annotations are looked at; in larger buffers the newest of them. */
export const LABELS_READ = 20_000;
const PAGE = 1000;

/**
 * Reads what people, the judge and others have annotated since, for the experiences in the buffer: Phoenix is where labels
 * are given, changed and taken back. A span that Phoenix no longer has keeps the label it had.
 *
 * @returns how many labels have changed
 */
export async function readLabels(
  { pool, phoenix, signal }: { pool: Pool; phoenix: PhoenixClient; signal: AbortSignal },
  { row }: Optimized,
): Promise<number> {
  const { incarnation, phoenixProject } = row;
  const experiences = await listExperiences(pool, incarnation, { limit: LABELS_READ });
  let changed = 0;
  for (let from = 0; from < experiences.length; from += PAGE) {
    signal.throwIfAborted();
    const some = experiences.slice(from, from + PAGE);
    const there = await readAnnotations(
      phoenix,
      phoenixProject,
      some.map(({ spanId }) => spanId),
    );
    for (const experience of some) {
      const annotations = there.get(experience.spanId);
      if (annotations === undefined) continue;
      const label = labelFrom(experience, annotations);
      if (isSame(experience, label)) continue;
      if (await setLabel(pool, incarnation, experience.spanId, label)) changed++;
    }
  }
  return changed;
}

export function labelFrom({ agent }: StoredExperience, annotations: readonly StoredAnnotation[]) {
  const labels = annotations
    .filter(({ name }) => name === ANNOTATIONS.label)
    .map(({ annotatorKind: kind, label, metadata, updatedAt }) => ({
      ...{ kind, label, updatedAt },
      agent: metadata['agent'],
    }));
  return labelOf(agent, labels);
}

function isSame(experience: StoredExperience, label: ReturnType<typeof labelOf>): boolean {
  return (
    experience.label === (label?.label ?? null) &&
    experience.labelKind === (label?.kind ?? null) &&
    experience.expected === (label?.expected ?? null)
  );
}
