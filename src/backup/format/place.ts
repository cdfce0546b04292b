import { type StorePath, parseStorePath, within } from '../../domain/backups.js';
import type { BackupStore } from '../store/store.js';

/** Where a backup lies. */
export interface BackupPlace {
  readonly store: BackupStore;
  /** `<tenant>/<backup>`; undefined when the store is nothing but this backup, copied from its own. */
  readonly folder: StorePath | undefined;
}

/** @param path within the backup */
export function placeOf({ folder }: BackupPlace, path: string): StorePath {
  return folder === undefined ? parseStorePath(path) : within(folder, ...path.split('/'));
}
