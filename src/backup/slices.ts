import type { BackupId } from '../domain/backups.js';
import { sumOf } from '../domain/lineDigests.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../domain/profiles.js';
import {
  type SliceRow,
  getSlice,
  nextPart,
  noteSliceDone,
  noteSlicePart,
  partsOfSlice,
  restartSlices,
} from '../registry/backupProgress.js';
import { readPackage } from '../vespa/activePackage.js';
import { backUpSlice } from './documents/backUpSlice.js';
import { digestSlice } from './documents/digestSlice.js';
import type { Slice } from './documents/slices.js';
import { writePart } from './format/writePart.js';
import { type BackupResources, writerOf } from './writer.js';

export interface SliceName {
  readonly backup: BackupId;
  readonly base: BaseSchema;
  readonly slice: number;
}

/**
 * Writes a slice of a schema's documents in parts, from where a former attempt was.
 *
 * @returns how many documents the slice has, those of former attempts among them
 */
export async function storeSlice(
  resources: BackupResources,
  name: SliceName,
  signal: AbortSignal,
): Promise<{ documents: number }> {
  const { pool, documents } = resources;
  const { backup, base, slice } = name;
  const row = await getSlice(pool, backup, base, slice);
  if (!row.done) {
    const { place, options } = await writerOf(resources, name, signal);
    // Where the part in hand began: another attempt that is still alive must not go on from elsewhere.
    let at = row.position ?? undefined;
    await backUpSlice(documents, await sliceOf(resources, row), {
      resume: at,
      writePart: async (_, lines) => {
        const index = (await nextPart(pool, backup, row)) * row.slices + slice;
        return writePart(place, { ...kindOf(base), index }, lines, options);
      },
      onPart: async (_, part, position) => {
        await noteSlicePart(pool, backup, row, part, at, position);
        at = position;
      },
      onRestart: async () => {
        await restartSlices(pool, backup, base, slice);
        at = undefined;
      },
      limits: resources.partLimits,
      signal,
    });
    await noteSliceDone(pool, backup, row, at);
  }
  return { documents: sumOf(await partsOfSlice(pool, backup, row)).count };
}

/** Whether Vespa holds now what was written of a slice. */
export async function compareSlice(
  resources: BackupResources,
  { backup, base, slice }: SliceName,
  signal: AbortSignal,
): Promise<{ same: boolean }> {
  const { pool, documents } = resources;
  const row = await getSlice(pool, backup, base, slice);
  const written = sumOf(await partsOfSlice(pool, backup, row));
  const now = await digestSlice(documents, await sliceOf(resources, row), { signal });
  return { same: now.count === written.count && now.digest === written.digest };
}

async function sliceOf({ configServer }: BackupResources, row: SliceRow): Promise<Slice> {
  const { contentCluster: cluster } = await readPackage(configServer);
  const { schema, namespace, slices, slice: sliceId } = row;
  return { cluster, schema, namespace, slices, sliceId };
}

function kindOf(base: BaseSchema) {
  return base === MEMORY_SCHEMA ? ({ kind: 'memory' } as const) : ({ kind: 'documents', base } as const);
}
