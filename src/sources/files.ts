import { lstat, stat } from 'node:fs/promises';
import { OpsError } from '../domain/errors.js';
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

/** Opens what lies on this machine: nothing to fetch, nothing to take away. */
export async function openFile(path: string, resolve: Resolve): Promise<OpenedVideo> {
  const file = await resolve(path);
  return {
    file,
    fingerprint: (await looksOf(file))?.fingerprint,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Sizes and times of change (ns) of a video and its side-cars; undefined for a video that is gone. */
async function looksOf(file: string): Promise<{ fingerprint: string; writtenAt: number } | undefined> {
  const video = await looks(file, stat);
  if (video === undefined) return undefined;
  const stem = videoStem(file);
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
