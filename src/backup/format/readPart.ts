import { createHash } from 'node:crypto';
import type { ManifestPart } from '../../contracts/backup.js';
import { BACKUP_LIMITS } from '../../domain/backupLimits.js';
import { isTextPart } from '../../domain/backupParts.js';
import { OpsError } from '../../domain/errors.js';
import { DecompressionError, decompressed } from './compression.js';
import { decrypted } from './encryption.js';
import type { DataKey } from './keys.js';
import { type BackupPlace, placeOf } from './place.js';

const NEWLINE = 0x0a;

export interface ReadOptions {
  /** Of an encrypted backup; one without is read as it is. */
  readonly key?: DataKey | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The lines of a part, each without its newline. Never more bytes come out than the manifest says. Only when it ends
 * without an error were the lines all of them, and the stored bytes those of the manifest.
 *
 * Holds a few pieces of 256 KiB and the longest line; a line that is kept keeps its piece.
 *
 * @param part of a manifest whose signature was verified
 * @throws OpsError `VerificationFailed` naming the part, at the first byte too many; what the store throws
 */
export async function* readPart(
  place: BackupPlace,
  part: ManifestPart,
  { key, signal }: ReadOptions = {},
): AsyncGenerator<Buffer> {
  if (isTextPart(part.kind)) throw new RangeError(`${part.path} is no part of lines`);
  let count = 0;
  let plainSize = 0;
  let begun: Buffer[] = [];
  let begunSize = 0;
  try {
    for await (const piece of decompressed(opened(place, part, { key, signal }), signal)) {
      plainSize += piece.length;
      if (plainSize > part.plainSize) throw refused(part, 'it holds more bytes than the manifest says');
      let from = 0;
      for (let end; (end = piece.indexOf(NEWLINE, from)) >= 0; from = end + 1) {
        if (++count > part.count) throw refused(part, 'it holds more lines than the manifest says');
        const rest = piece.subarray(from, end);
        yield begunSize === 0 ? rest : Buffer.concat([...begun, rest], begunSize + rest.length);
        begun = [];
        begunSize = 0;
      }
      if (from === piece.length) continue;
      begun.push(piece.subarray(from));
      begunSize += piece.length - from;
      if (begunSize > BACKUP_LIMITS.lineBytes) throw refused(part, 'a line is above the limit');
    }
  } catch (error) {
    throw error instanceof DecompressionError ? refused(part, error.message) : error;
  }
  if (begunSize > 0) throw refused(part, 'its last line has no end');
  if (plainSize !== part.plainSize) throw refused(part, 'it holds fewer bytes than the manifest says');
  if (count !== part.count) throw refused(part, 'it holds fewer lines than the manifest says');
}

/**
 * A whole text, proven: the configuration, a schema.
 *
 * @throws OpsError `VerificationFailed` naming the part; what the store throws
 */
export async function readTextPart(
  place: BackupPlace,
  part: ManifestPart,
  options: ReadOptions = {},
): Promise<Buffer> {
  if (!isTextPart(part.kind)) throw new RangeError(`${part.path} is no text`);
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of opened(place, part, options)) {
    size += piece.length;
    if (size > part.plainSize) throw refused(part, 'it holds more bytes than the manifest says');
    pieces.push(piece);
  }
  const text = Buffer.concat(pieces);
  if (createHash('sha256').update(text).digest('hex') !== part.digest)
    throw refused(part, 'its text is not that of the manifest');
  return text;
}

function opened(place: BackupPlace, part: ManifestPart, { key, signal }: ReadOptions): AsyncIterable<Buffer> {
  const bytes = stored(place, part, signal);
  return key ? decrypted(bytes, key, part.path) : bytes;
}

/** The stored bytes; ends without an error only when they are the manifest's. */
async function* stored(
  place: BackupPlace,
  part: ManifestPart,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const bytes of place.store.get(placeOf(place, part.path), { signal })) {
    size += bytes.length;
    if (size > part.size) throw refused(part, 'it is larger than the manifest says');
    hash.update(bytes);
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  if (size < part.size) throw refused(part, 'it is smaller than the manifest says');
  if (hash.digest('hex') !== part.sha256) throw refused(part, 'its bytes are not those of the manifest');
}

export function refused({ path }: Pick<ManifestPart, 'path'>, why: string): OpsError {
  return new OpsError('VerificationFailed', `part ${path}: ${why}`, 'restore from another backup');
}
