import { isStorePath } from './backups.js';
import { OpsError } from './errors.js';
import { quotePlace } from './places.js';
import { isBucketName } from './sources.js';

/** Where a backup store is. A folder's path is absolute, on the data workers' machine; a prefix neither begins nor ends with `/`. */
export type StoreLocation =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

const S3 = 's3://';
const FILE = 'file://';
const LONGEST_PATH = 2048;
/** With `/` and the longest place in a store it stays below the 1,024 bytes of a key. */
const LONGEST_PREFIX = 500;

/**
 * The one parser of where backups lie: `/folder`, `file:///folder`, `s3://bucket`, `s3://bucket/prefix`. A text that may
 * hold a secret (a user in an address, a signed query) is refused without that being repeated.
 *
 * @throws OpsError `InvalidInput`
 */
export function parseStoreLocation(text: unknown): StoreLocation {
  if (typeof text !== 'string' || text === '') throw refused('not the name of a backup store', '');
  if (text.startsWith(S3)) return parseS3(text);
  if (text.startsWith(FILE)) return { kind: 'folder', path: folderOf(decoded(text), text) };
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) throw refused('no such kind of backup store', text);
  return { kind: 'folder', path: folderOf(text, text) };
}

/** What {@link parseStoreLocation} reads back as the same place, as it is shown and stored. */
export function storeLocationText(location: StoreLocation): string {
  switch (location.kind) {
    case 'folder':
      return `${FILE}${location.path.split('/').map(encodeURIComponent).join('/')}`;
    case 's3':
      return `${S3}${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}`;
  }
}

function parseS3(text: string): StoreLocation {
  const [bucket = '', ...names] = text.slice(S3.length).split('/');
  if (bucket.includes('@')) throw refused('no credentials in the name of a backup store', text);
  if (/[?#]/.test(text)) throw refused('no query and no fragment in the name of a backup store', text);
  if (!isBucketName(bucket)) throw refused('not a bucket name', text);
  if (names.at(-1) === '') names.pop();
  const prefix = names.join('/');
  if (prefix.length > LONGEST_PREFIX) throw refused(`longer than ${LONGEST_PREFIX} characters`, '');
  if (names.length > 0 && !isStorePath(prefix)) throw refused('not a prefix for a backup store', text);
  return { kind: 's3', bucket, prefix };
}

function decoded(url: string): string {
  const rest = url.slice(FILE.length);
  if (/[?#]/.test(rest)) throw refused('no query and no fragment in the name of a backup store', url);
  if (!rest.startsWith('/')) throw refused('a folder of another machine', url);
  try {
    return decodeURIComponent(rest);
  } catch {
    throw refused('not well encoded', url);
  }
}

function folderOf(path: string, text: string): string {
  const tidy = path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '');
  if (!path.startsWith('/')) throw refused('not an absolute path', text);
  if (tidy === '/') throw refused('the root of the file system is no backup store', text);
  if (path.length > LONGEST_PATH || !path.isWellFormed() || path.includes('\0'))
    throw refused('not the path of a folder', text);
  if (tidy.split('/').some((name) => name === '.' || name === '..'))
    throw refused('no . and no .. in the path of a backup store', text);
  return tidy;
}

function refused(why: string, text: string): OpsError {
  const shown = text === '' ? '' : `: ${quotePlace(text)}`;
  return new OpsError(
    'InvalidInput',
    `${why}${shown}`,
    'a backup store is a folder by its absolute path, or s3://bucket/prefix',
  );
}
