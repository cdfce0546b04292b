import { CancellationScope } from '@temporalio/workflow';
import type { BackupKey, SliceKey } from '../activities/types.js';
import type { BackupTenantInput, BackupTenantResult } from '../src/contracts/backupOperations.js';
import { endingOf } from './failures.js';
import { Fence } from './fence.js';
import { inLanes } from './inLanes.js';
import { noteState } from './operationState.js';
import { backupCleanup, backupData, backups, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Slices in work at a time. */
const LANES = 4;
/** Times that what changed is read again before `settled` is given up. */
const MAX_PASSES = 6;

/**
 * Copies a tenant into a backup store: configuration, schemas, documents, traces; the manifest comes last. What was stored
 * is in the registry, so a killed worker's slice goes on after its last part. A backup that fails leaves nothing.
 */
export async function backupTenant(input: BackupTenantInput): Promise<BackupTenantResult> {
  const { tenant, operation, backup, consistency } = input;
  const steps = new Progress(`Back up tenant \`${tenant}\` as \`${backup}\``);
  // Refused here, nothing was done as a rule; but an attempt whose answer was lost may have registered it.
  const plan = await titled(backups.beginBackup, backup, input).catch((error: unknown) =>
    CancellationScope.nonCancellable(() => giveUp({ tenant, operation, backup }, null, error)),
  );
  const key = { tenant, incarnation: plan.incarnation, operation, backup };
  const slices = plan.slices.map((slice) => ({ ...slice, backup }));
  const fence = new Fence(key);

  try {
    const fencedFrom = consistency === 'fenced' ? await steps.step('fence', () => fence.raise()) : null;
    await storeSlices(slices, steps, 'documents');
    const { passes, settled } =
      consistency === 'settled' ? await settle(slices, steps) : { passes: 1, settled: false };
    await steps.step(
      'configuration, schemas, videos',
      () => titled(backupData.backUpRegistry, 'of the registry and the package', key),
      ({ versions, videos }) => `${versions} versions, ${videos} videos`,
    );
    await steps.step(
      'traces',
      () => titled(backupData.backUpTraces, 'of Phoenix', key),
      ({ spans, annotations, notes }) => `${spans} spans, ${annotations} annotations, ${notes} notes`,
    );
    const ending = { ...key, passes, settled, fencedFrom, now: Date.now() };
    const result = await steps.step('manifest', () =>
      titled(backupData.finishBackup, 'sign, write, read back', ending),
    );
    // It is complete, whoever cancels now.
    if (fencedFrom !== null) await CancellationScope.nonCancellable(() => fence.lower());
    noteState('completed');
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(() => giveUp(key, fence, error));
  }
}
versioned('PINNED', backupTenant);

async function storeSlices(slices: readonly SliceKey[], steps: Progress, what: string): Promise<void> {
  let [documents, done] = [0, 0];
  await steps.step(
    what,
    () =>
      inLanes(slices, LANES, async (slice) => {
        const stored = await titled(backupData.backUpSlice, `${slice.base}, slice ${slice.slice}`, slice);
        documents += stored.documents;
        steps.note(what, `${++done} of ${slices.length} slices, ${documents} documents`);
      }),
    () => `${documents} in ${slices.length} slices`,
  );
}

/** Reads everything again until a whole pass finds what the one before it found. */
async function settle(
  slices: readonly SliceKey[],
  steps: Progress,
): Promise<{ passes: number; settled: boolean }> {
  for (let passes = 2; ; passes++) {
    const changed: SliceKey[] = [];
    await steps.step(
      `pass ${passes}`,
      () =>
        inLanes(slices, LANES, async (slice) => {
          const { same } = await titled(
            backupData.compareSlice,
            `${slice.base}, slice ${slice.slice}`,
            slice,
          );
          if (!same) changed.push(slice);
        }),
      () => (changed.length === 0 ? 'nothing changed' : `${changed.length} slices changed`),
    );
    if (changed.length === 0) return { passes, settled: true };
    for (const slice of changed)
      await titled(backups.restartSlice, `${slice.base}, slice ${slice.slice}`, slice);
    await storeSlices(changed, steps, `what changed by pass ${passes}`);
    if (passes === MAX_PASSES) return { passes, settled: false };
  }
}

async function giveUp(
  { tenant, operation, backup }: Omit<BackupKey, 'incarnation'>,
  fence: Fence | null,
  error: unknown,
): Promise<never> {
  const { state, failure, thrown } = endingOf(error, 'the backup was cancelled');
  await fence?.lower();
  const end = { tenant, operation, backup, state, failure } as const;
  await titled(backupCleanup.failBackup, failure.message.slice(0, 150), end);
  noteState(state);
  throw thrown;
}
