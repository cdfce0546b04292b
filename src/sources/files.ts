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
        return await fingerprintOf(await resolve(path));
      } catch (error) {
        if (error instanceof OpsError) return undefined;
        throw error;
      }
    };
    yield await Promise.all(
      page.map(async (path) => ({ path, fingerprint: fingerprints ? await mark(path) : undefined })),
    );
  }
}

/** Opens what lies on this machine: nothing to fetch, nothing to take away. */
export async function openFile(path: string, resolve: Resolve): Promise<OpenedVideo> {
  const file = await resolve(path);
  return {
    file,
    fingerprint: await fingerprintOf(file),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Sizes and times of change (ns) of a video and its side-cars; undefined for a video that is gone. */
async function fingerprintOf(file: string): Promise<string | undefined> {
  const video = await looks(file, stat);
  if (video === undefined) return undefined;
  const stem = videoStem(file);
  // A side-car that is a link is refused when it is read: its own mark will do.
  const sidecars = await Promise.all(
    SIDECAR_SUFFIXES.map(
      async (suffix) => [suffix.slice(1), await looks(`${stem}${suffix}`, lstat)] as const,
    ),
  );
  return fingerprint([['video', video], ...sidecars]);
}

/** Joins the marks of what is there. */
export function fingerprint(marks: readonly (readonly [string, string | undefined])[]): string {
  return marks
    .filter(([, mark]) => mark !== undefined)
    .map(([what, mark]) => `${what} ${mark}`)
    .join('; ');
}

async function looks(file: string, look: typeof stat): Promise<string | undefined> {
  try {
    const { size, mtimeNs } = await look(file, { bigint: true });
    return `${size} ${mtimeNs}`;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}
