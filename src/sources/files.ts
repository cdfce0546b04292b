import { lstat, stat } from 'node:fs/promises';
import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import type { Pin } from '../pinned.js';
import { unreadable } from '../video/probe.js';
import { SIDECAR_SUFFIXES, videoStem } from '../video/sidecar.js';
import { type ListOptions, type OpenedVideo, type SourceEntry, paged } from './reader.js';

/** Names the file behind a path of the ledger, links resolved. @throws OpsError `Rejected` */
export type Resolve = (path: string) => Promise<string>;

/** Pages of paths with the marks of their files; one that cannot be read has none, and says why when it is opened. */
export async function* listFiles(
  paths: AsyncIterable<string>,
  resolve: Resolve,
  { signal, fingerprints }: ListOptions,
): AsyncGenerator<SourceEntry[], void> {
  for await (const page of paged(paths)) {
    signal?.throwIfAborted();
    const mark = async (path: string) => {
      try {
        return await looksOf(await resolve(path));
      } catch (error) {
        if (error instanceof OpsError) return undefined;
        throw error;
      }
    };
    yield await Promise.all(
      page.map(async (path) => ({ path, fingerprint: undefined, ...(fingerprints ? await mark(path) : {}) })),
    );
  }
}

/** Opens what lies on this machine: nothing to fetch, and nothing to take away but what was pinned. */
export async function openFile(name: string, resolve: Resolve, pin: Pin): Promise<OpenedVideo> {
  const real = await resolve(name);
  await using opened = new AsyncDisposableStack();
  try {
    const { file } = opened.use(await pin(real));
    const folder = opened.use(await pin(path.dirname(real)));
    const beside = path.join(folder.file, path.basename(real));
    const looks = await looksOf(file, beside);
    const held = opened.move();
    return {
      ...{ file, beside, fingerprint: looks?.fingerprint },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  } catch (error) {
    throw unreadable(error);
  }
}

/** Sizes and times of change (ns) of a video and its side-cars; undefined for a video that is gone. */
async function looksOf(
  file: string,
  beside = file,
): Promise<{ fingerprint: string; writtenAt: number } | undefined> {
  const video = await looks(file, stat);
  if (video === undefined) return undefined;
  const stem = videoStem(beside);
  // A side-car that is a link is refused when it is read: its own mark will do.
  const sidecars = await Promise.all(
    SIDECAR_SUFFIXES.map(
      async (suffix) => [suffix.slice(1), await looks(`${stem}${suffix}`, lstat)] as const,
    ),
  );
  const all = [['video', video] as const, ...sidecars];
  return {
    fingerprint: fingerprint(all.map(([what, looked]) => [what, looked?.mark] as const)),
    writtenAt: Math.max(...all.map(([, looked]) => looked?.writtenAt ?? 0)),
  };
}

/** Joins the marks of what is there. */
export function fingerprint(marks: readonly (readonly [string, string | undefined])[]): string {
  return marks
    .filter(([, mark]) => mark !== undefined)
    .map(([what, mark]) => `${what} ${mark}`)
    .join('; ');
}

async function looks(
  file: string,
  look: typeof stat,
): Promise<{ mark: string; writtenAt: number } | undefined> {
  try {
    const { size, mtimeNs } = await look(file, { bigint: true });
    return { mark: `${size} ${mtimeNs}`, writtenAt: Number(mtimeNs / 1_000_000n) };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}
