import { expect } from 'vitest';
import type { BackupActivities, RestoreActivities } from '../../activities/types.js';
import { type BackupId, backupId } from '../../src/domain/backups.js';
import type { OperationId } from '../../src/domain/ids.js';
import { type Life, newIncarnation, newOperation } from './registry.js';

/** Of the tenant that is backed up. */
export const PROFILE = 'video_colpali_smol500_mv_frame';
export const DOCUMENTS = 10;
const by = { principal: 'tests', reason: '' };
export const failed = { state: 'failed', failure: { code: 'Unavailable', message: 'no answer' } } as const;

export type Activities = BackupActivities & RestoreActivities;

/** One activity of an operation, as its workflow calls it. */
export interface Step {
  readonly name: keyof Activities;
  readonly call: (activities: Activities, run: Run) => Promise<unknown>;
}

/** What the activities of one operation are told. */
export class Run {
  readonly operation: OperationId = newOperation();
  readonly backup: BackupId;
  slices: readonly { readonly slice: number }[] = [];

  /** @param of the backup to restore; left out: one is made */
  constructor(
    private readonly life: Life,
    of?: BackupId,
  ) {
    this.backup = of ?? backupId(new Date(), newOperation().slice(0, 8));
  }

  get key() {
    const { tenant, incarnation } = this.life;
    return { tenant, incarnation, operation: this.operation, backup: this.backup };
  }

  get ofSchema() {
    return { ...this.key, base: PROFILE } as const;
  }
}

const BEGIN_BACKUP: Step = {
  name: 'beginBackup',
  call: async (activities, run) => {
    const { tenant, operation, backup } = run.key;
    const input = { tenant, operation, backup, ...by, consistency: 'settled' } as const;
    ({ slices: run.slices } = await activities.beginBackup(input));
  },
};
const EACH_SLICE: Step = {
  name: 'backUpSlice',
  call: async (activities, { slices, backup }) => {
    for (const { slice } of slices) await activities.backUpSlice({ backup, base: PROFILE, slice });
  },
};
export const BACKUP: readonly Step[] = [
  BEGIN_BACKUP,
  EACH_SLICE,
  {
    name: 'compareSlice',
    call: async (activities, { slices, backup }) => {
      for (const { slice } of slices)
        expect(await activities.compareSlice({ backup, base: PROFILE, slice })).toEqual({ same: true });
    },
  },
  { name: 'backUpRegistry', call: (activities, { key }) => activities.backUpRegistry(key) },
  { name: 'backUpTraces', call: (activities, { key }) => activities.backUpTraces(key) },
  {
    name: 'finishBackup',
    call: (activities, { key }) =>
      activities.finishBackup({ ...key, passes: 2, settled: true, fencedFrom: null, now: Date.now() }),
  },
];
export const GIVEN_UP_BACKUP: readonly Step[] = [
  BEGIN_BACKUP,
  EACH_SLICE,
  { name: 'failBackup', call: (activities, { key }) => activities.failBackup({ ...key, ...failed }) },
];

const BEGIN_RESTORE: readonly Step[] = [
  {
    name: 'beginRestore',
    call: (activities, { key }) =>
      activities.beginRestore({
        ...{ ...key, ...by, incarnation: newIncarnation(), cluster: 'tests' },
        ...{ replace: true, preview: false },
      }),
  },
  {
    name: 'closeForRestore',
    call: (activities, { key }) => activities.closeForRestore({ ...key, wasOpen: true }),
  },
  { name: 'emptySchema', call: (activities, { ofSchema }) => activities.emptySchema(ofSchema) },
];
export const RESTORE: readonly Step[] = [
  ...BEGIN_RESTORE,
  {
    name: 'restoreRegistry',
    call: (activities, { key }) => activities.restoreRegistry(key),
  },
  { name: 'restoreDocuments', call: (activities, { ofSchema }) => activities.restoreDocuments(ofSchema) },
  { name: 'compareDocuments', call: (activities, { ofSchema }) => activities.compareDocuments(ofSchema) },
  {
    name: 'finishRestore',
    call: async (activities, { key }) => {
      const done = await activities.finishRestore({ ...key, opens: true, documents: DOCUMENTS, spans: 0 });
      expect(done).toEqual({ state: 'active' });
    },
  },
];
export const GIVEN_UP_RESTORE: readonly Step[] = [
  ...BEGIN_RESTORE,
  { name: 'failRestore', call: (activities, { key }) => activities.failRestore({ ...key, ...failed }) },
];
