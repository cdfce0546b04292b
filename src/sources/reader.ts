/** A video of a source, as listed. */
export interface SourceEntry {
  /** Its name in the ledger: relative to a folder, or absolute, or `s3://bucket/key`. One name a file, one file a name. */
  readonly path: string;
  /**
   * A cheap mark that changes with the video or a side-car of it: size and time of change, or S3's ETag. Undefined when
   * not asked for, or when there is nothing to look at.
   */
  readonly fingerprint: string | undefined;
  /**
   * With the fingerprint: when it or a side-car was last written to, in ms since the epoch. Undefined where nothing is
   * ever half written, as in S3.
   */
  readonly writtenAt?: number | undefined;
}

/** A video as a local file, with its side-cars, until disposed of. */
export interface OpenedVideo extends AsyncDisposable {
  readonly file: string;
  /** The path whose side-cars are its own, where that is not `file`. */
  readonly beside?: string;
  /** Taken before its bytes are read: what changes during that is seen as a change later. */
  readonly fingerprint: string | undefined;
}

export interface ListOptions {
  readonly signal?: AbortSignal | undefined;
  /** Costs a folder and a list a few calls a file. */
  readonly fingerprints: boolean;
}

/** Reads one source: names its videos and opens them. */
export interface VideoSourceReader {
  /**
   * The videos, {@link SOURCE_PAGE} at most a page, in the same order each time as long as nothing changes. A page may be
   * empty: a sign of life.
   *
   * @throws OpsError `InvalidInput`, `NotFound`, `PermissionDenied` when the source itself cannot be read, or names what its
   *   principal may not have read
   */
  list(options: ListOptions): AsyncIterable<readonly SourceEntry[]>;
  /**
   * @param path as listed
   * @throws OpsError `Rejected` with a plain reason when the video is gone or cannot be read, `PermissionDenied` when its
   *   principal may not have it read
   */
  open(path: string, signal?: AbortSignal): Promise<OpenedVideo>;
}

/** Entries a page at most; one S3 listing answers as many keys. */
export const SOURCE_PAGE = 1000;

/** Puts single paths into pages. */
export async function* paged(paths: AsyncIterable<string>): AsyncGenerator<string[], void> {
  let page: string[] = [];
  for await (const path of paths) {
    if (page.push(path) < SOURCE_PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
