import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { StoreUnavailable } from '../store.js';

/** What an error of the file system means for a store; what is not here is final. */
const MAY_PASS: Readonly<Record<string, StoreUnavailable['how']>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  // Of one file, by the file system or by the process's limit.
  EFBIG: 'full',
  EMFILE: 'throttled',
  ENFILE: 'throttled',
  EAGAIN: 'throttled',
  // Disks that fail and servers of network file systems that are away.
  EIO: 'silent',
  ESTALE: 'silent',
  ETIMEDOUT: 'silent',
  EHOSTDOWN: 'silent',
};

const NO_ACCESS = ['EACCES', 'EPERM', 'EROFS'];

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** @param at the place in the store, shown as it is known there */
export function folderFailure(error: unknown, at: string): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  const named = quoteForMessage(at);
  const how = MAY_PASS[code];
  if (how !== undefined)
    return new StoreUnavailable(
      how === 'full'
        ? `no room in the backup store for ${named} (${code})`
        : `the backup store fails at ${named} (${code})`,
      how,
      { cause: error },
    );
  if (NO_ACCESS.includes(code))
    return new OpsError(
      'PermissionDenied',
      `the backup store does not let ${named} be used (${code})`,
      'let the user of the data worker read and write the folder',
    );
  return new OpsError('Rejected', `the backup store cannot hold ${named} (${code})`);
}

export function isLink(at: string): OpsError {
  return new OpsError(
    'Rejected',
    `${quoteForMessage(at)} in the backup store is a symbolic link`,
    'nothing is read or written through links: put there what it leads to, or remove it',
  );
}

export function isNoFile(at: string): OpsError {
  return new OpsError(
    'Rejected',
    `${quoteForMessage(at)} in the backup store is no file`,
    'a backup holds files and folders only: remove what is there',
  );
}

export function isNoFolder(at: string): OpsError {
  return new OpsError(
    'Rejected',
    `${quoteForMessage(at)} in the backup store is no folder`,
    'remove what is there',
  );
}

/** A sweep took a file that was still being written for a forgotten one. */
export function sweptAway(at: string): StoreUnavailable {
  return new StoreUnavailable(`${quoteForMessage(at)} was swept away while it was written`, 'silent');
}
