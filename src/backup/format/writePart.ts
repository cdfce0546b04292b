import { createHash } from 'node:crypto';
import type { ManifestPart } from '../../contracts/backup.js';
import { BACKUP_LIMITS } from '../../domain/backupLimits.js';
import { type LinePartKind, type PartName, type TextPartKind, partPath } from '../../domain/backupParts.js';
import { OpsError } from '../../domain/errors.js';
import { LineDigest } from '../digest.js';
import { compressed } from './compression.js';
import { encrypted } from './encryption.js';
import type { DataKey } from './keys.js';
import { type BackupPlace, placeOf } from './place.js';

/** How much text goes to the compressor at once. */
const BATCH_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

export interface WriteOptions {
  /** Encrypted when there is one. */
  readonly key?: DataKey | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Once all bytes are on their way, and before the store makes them the object; what it throws leaves the former one. */
  readonly beforeStored?: (() => Promise<void>) | undefined;
}

/**
 * Writes lines as one part, replacing a former one of its name. Holds a few hundred KiB and the longest line.
 *
 * @param lines one each, without its newline; any bytes but newlines, at least one
 * @returns how the manifest names it: what the store confirmed, not only what was sent
 * @throws OpsError `InvalidInput` for a line that is none, `Rejected` above a limit, `Unavailable` when the store confirms
 *   other bytes; what the lines and the store throw
 */
export async function writePart(
  place: BackupPlace,
  name: PartName & { readonly kind: LinePartKind },
  lines: AsyncIterable<Buffer>,
  options: WriteOptions = {},
): Promise<ManifestPart> {
  const { signal } = options;
  const path = partPath(name);
  const digest = new LineDigest();
  let plainSize = 0;
  const written = await put(place, path, compressed(joined(), signal), options);
  return part(name, written, { count: digest.count, plainSize, digest: digest.digest });

  async function* joined(): AsyncGenerator<Buffer> {
    let batch = Buffer.allocUnsafe(BATCH_BYTES);
    let size = 0;
    for await (const line of lines) {
      signal?.throwIfAborted();
      checkLine(path, line);
      digest.add(line);
      plainSize += line.length + 1;
      if (plainSize > BACKUP_LIMITS.partBytes) throw tooLarge(path, BACKUP_LIMITS.partBytes);
      if (size + line.length + 1 > batch.length) {
        if (size > 0) yield batch.subarray(0, size);
        // The former one is still being compressed.
        batch = Buffer.allocUnsafe(Math.max(BATCH_BYTES, line.length + 1));
        size = 0;
      }
      size += line.copy(batch, size);
      batch[size++] = NEWLINE;
    }
    if (size > 0) yield batch.subarray(0, size);
  }
}

/**
 * Writes a whole text as it is: the configuration, a schema.
 *
 * @param count what the manifest counts in it: versions of the configuration, 1 for a schema
 */
export async function writeTextPart(
  place: BackupPlace,
  name: PartName & { readonly kind: TextPartKind },
  { text, count }: { readonly text: Buffer; readonly count: number },
  options: WriteOptions = {},
): Promise<ManifestPart> {
  const path = partPath(name);
  const limit = name.kind === 'config' ? BACKUP_LIMITS.configBytes : BACKUP_LIMITS.schemaBytes;
  if (text.length > limit) throw tooLarge(path, limit);
  const written = await put(place, path, once(text), options);
  const digest = createHash('sha256').update(text).digest('hex');
  return part(name, written, { count, plainSize: text.length, digest });
}

interface Written {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

async function put(
  place: BackupPlace,
  path: string,
  plain: AsyncIterable<Buffer>,
  { key, signal, beforeStored }: WriteOptions,
): Promise<Written> {
  const hash = createHash('sha256');
  let size = 0;
  const confirmed = await place.store.put(
    placeOf(place, path),
    noted(key ? encrypted(plain, key, path) : plain),
    { signal },
  );
  const sha256 = hash.digest('hex');
  if (confirmed.size !== size || confirmed.sha256 !== sha256)
    throw new OpsError(
      'Unavailable',
      `${place.store.location} confirmed other bytes of ${path} than it was sent`,
      'try again, and have the store examined if it stays so',
    );
  return { path, size, sha256 };

  async function* noted(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      if (size > BACKUP_LIMITS.partBytes) throw tooLarge(path, BACKUP_LIMITS.partBytes);
      yield piece;
    }
    await beforeStored?.();
  }
}

function part(
  { kind, base }: PartName,
  written: Written,
  plain: Pick<ManifestPart, 'count' | 'plainSize' | 'digest'>,
): ManifestPart {
  return { ...written, kind, ...(base === undefined ? {} : { base }), ...plain };
}

function checkLine(path: string, line: Buffer): void {
  if (line.length === 0 || line.includes(NEWLINE))
    throw new OpsError(
      'InvalidInput',
      `part ${path}: a line is ${line.length === 0 ? 'empty' : 'more than one'}`,
    );
  if (line.length > BACKUP_LIMITS.lineBytes)
    throw new OpsError('Rejected', `part ${path}: a line is above ${BACKUP_LIMITS.lineBytes} bytes`);
}

function tooLarge(path: string, limit: number): OpsError {
  return new OpsError('Rejected', `part ${path} would be above ${limit} bytes`);
}

async function* once(text: Buffer): AsyncGenerator<Buffer> {
  yield text;
}
