import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from './domain/errors.js';
import type { TenantFolder } from './domain/sourcePlaces.js';

/** A file or folder that stays the same one for as long as it is held. */
export interface Pinned extends AsyncDisposable {
  /** Leads to it, for this process and its children. */
  readonly file: string;
}

/** @throws the system's errors of opening it */
export type Pin = (path: string) => Promise<Pinned>;

/** Whatever has the name whenever it is used. */
export const unpinned: Pin = async (file) => ({ file, [Symbol.asyncDispose]: () => Promise.resolve() });

/**
 * Opens a file or folder and has judged what was really opened: a link that is exchanged between check and use leads
 * nowhere else.
 *
 * @param judge throws when the real path may not be read
 * @throws OpsError `PermissionDenied` where the system does not say what was opened, `Rejected` for what is neither file nor
 *   folder; what `judge` throws; the system's errors
 */
export async function pinned(name: string, judge: (real: string) => Promise<void>): Promise<Pinned> {
  // Without O_NONBLOCK, opening a named pipe waits for somebody to write to it.
  const handle = await open(name, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await judged(handle, judge);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function judged(handle: FileHandle, judge: (real: string) => Promise<void>): Promise<Pinned> {
  const file = `${await ownDescriptors()}/${handle.fd}`;
  await judge(await readlink(file));
  const stat = await handle.stat();
  if (!stat.isFile() && !stat.isDirectory())
    throw new OpsError('Rejected', 'unreadable: a device, pipe or socket, not a file');
  return { file, [Symbol.asyncDispose]: () => handle.close() };
}

/**
 * Where a tenant's folder really is: links up to its own are the installation's.
 *
 * @returns undefined when there is no such folder
 */
export async function realRoot({ own, below }: TenantFolder): Promise<string | undefined> {
  try {
    return path.join(await realpath(own), below);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}

/** Linux's links to what a process has open: by its number as /proc has it, which in a container is another one. */
async function ownDescriptors(): Promise<string> {
  try {
    return `/proc/${await readlink('/proc/self')}/fd`;
  } catch (error) {
    throw new OpsError(
      'PermissionDenied',
      `this machine does not say what a file is that was opened: ${(error as Error).message}`,
      'for principals of one tenant files are read on Linux, with /proc; objects in S3 and variables anywhere',
    );
  }
}
