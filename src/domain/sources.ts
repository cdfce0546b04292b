import { OpsError } from './errors.js';
import { quotePlace } from './places.js';

/**
 * Where the videos of an ingest are. Paths are on the data workers' machine, absolute; an S3 prefix is a prefix of keys,
 * as S3 means it: `clips` also begins `clips-old/a.mp4`, `clips/` does not.
 */
export type VideoSource =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'list'; readonly path: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

const LIST = 'list:';
const S3 = 's3://';
const LONGEST = 4096;
/** Amazon's rule for names; dots in a row are refused too, as they end in no host name. */
const BUCKET = /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const ABSOLUTE = /^(\/|[A-Za-z]:[\\/])/;

export function isBucketName(text: string): boolean {
  return BUCKET.test(text);
}

/**
 * The one parser of what an ingest is pointed at: `/folder`, `list:/file`, `s3://bucket/prefix`.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseSource(text: string): VideoSource {
  const refuse = (why: string) =>
    new OpsError(
      'InvalidInput',
      `${why}: ${quotePlace(text)}`,
      'a source is a folder, a list file, or s3://bucket/prefix',
    );
  if (text.length === 0 || text.length > LONGEST) throw refuse(`not 1 to ${LONGEST} characters long`);
  if (text.includes('\0')) throw refuse('a source holds no zero byte');
  if (!text.isWellFormed()) throw refuse('a source is whole Unicode text');
  if (text.startsWith(S3)) {
    const rest = text.slice(S3.length);
    const slash = rest.indexOf('/');
    const bucket = slash < 0 ? rest : rest.slice(0, slash);
    if (!isBucketName(bucket)) throw refuse('not a bucket name');
    return { kind: 's3', bucket, prefix: slash < 0 ? '' : rest.slice(slash + 1) };
  }
  const list = text.startsWith(LIST);
  const path = list ? text.slice(LIST.length) : text;
  if (/^[A-Za-z][A-Za-z0-9+.-]+:\/\//.test(path)) throw refuse('no such kind of source');
  if (!ABSOLUTE.test(path)) throw refuse('not an absolute path');
  return { kind: list ? 'list' : 'folder', path };
}

/** What {@link parseSource} reads back as the same source. */
export function sourceText(source: VideoSource): string {
  switch (source.kind) {
    case 'folder':
      return source.path;
    case 'list':
      return `${LIST}${source.path}`;
    case 's3':
      return `${S3}${source.bucket}/${source.prefix}`;
  }
}
