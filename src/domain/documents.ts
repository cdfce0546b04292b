import { OpsError } from './errors.js';

/**
 * Video ids and document ids. Both are deterministic, so that feeding twice stores once: the document id is
 * `<video>_seg_<n>` as in the original, under a video id that is unique for a relative path.
 */

/**
 * A video's id within its tenant from its path relative to the ingested folder: the file's stem when that is already a
 * plain name, else a readable stem and the first 12 hex digits of the path's SHA-256. `.` and `..` cannot be addressed
 * in document/v1 and other characters would need escaping in every tool that prints an id.
 *
 * @param relativePath with `/` between its parts
 * @param pathSha256 lower-case hex of the SHA-256 of the relative path's UTF-8 bytes
 */
export function videoId(relativePath: string, pathSha256: string): string {
  const stem = relativePath.replace(/\.[^./]*$/, '');
  const plain = relativePath.endsWith('.mp4') && /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(stem);
  // A stem that looks like the other form is put into that form too, so that the two never meet.
  if (plain && !/-[0-9a-f]{12}$/.test(stem)) return stem;
  const readable = stem
    .slice(stem.lastIndexOf('/') + 1)
    .replace(/[^A-Za-z0-9_-]+/g, '_')
    .replace(/^[_-]+|[_-]+$/g, '')
    .slice(0, 60);
  return `${readable || 'video'}-${pathSha256.slice(0, 12)}`;
}

/** @param segment zero-based position of the segment in its video */
export function segmentDocumentId(video: string, segment: number): string {
  if (!Number.isSafeInteger(segment) || segment < 0)
    throw new OpsError('InvalidInput', `segment ${segment} is no index`);
  return `${video}_seg_${segment}`;
}
