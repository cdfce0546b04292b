import { createHash } from 'node:crypto';
import { type MemoryFileEnd, memoryFileEnd, memoryFileHead } from '../../contracts/memory.js';
import { OpsError } from '../../domain/errors.js';
import { BadLinesError, readLines } from '../../readLines.js';
import type { Reach } from '../../sources/reach.js';
import { checkRecord } from '../records.js';
import type { MemoryRecord } from '../tenantMemory.js';

/** A memory with the largest text, metadata and embedding there may be has some 100 kB. */
const LONGEST_LINE = 1 << 20;

export interface ReadHow {
  readonly signal: AbortSignal;
  /** Of whoever asks. */
  readonly reach: Reach;
}

/**
 * Reads a file of memories to its end.
 *
 * @returns what its end says, which is so
 * @throws OpsError `NotFound`, `InvalidInput` when it is no such file, `VerificationFailed` when it is not what was written,
 *   `PermissionDenied`
 */
export async function checkMemoryFile(file: string, how: ReadHow): Promise<MemoryFileEnd> {
  const records = read(file, how);
  for (;;) {
    const next = await records.next();
    if (next.done) return next.value;
  }
}

/**
 * The memories of a file that was checked.
 *
 * @param of.sha256 as the check found it: another file by now is refused when it has been read to its end
 * @throws OpsError as {@link checkMemoryFile}
 */
export async function* readMemoryFile(
  file: string,
  { sha256, ...how }: ReadHow & { readonly sha256: string },
): AsyncGenerator<MemoryRecord, void> {
  const end = yield* read(file, how);
  if (end.sha256 !== sha256) throw refused(file, 'it has changed since it was checked');
}

async function* read(file: string, how: ReadHow): AsyncGenerator<MemoryRecord, MemoryFileEnd> {
  const hash = createHash('sha256');
  let number = 0;
  let held: Buffer | undefined;
  let memories = 0;
  for await (const line of linesOf(file, how)) {
    number++;
    if (number === 1) {
      if (!memoryFileHead.safeParse(parsed(line)).success)
        throw new OpsError(
          'InvalidInput',
          `${file} is no file of memories`,
          'write one with: cvops memory export',
        );
      continue;
    }
    // The last line is no memory, and only the next one says that this was not the last.
    if (held !== undefined) {
      const record = recordOf(held, memories + 1);
      // What it holds stays out of the message: it is somebody's memory.
      if (record === undefined) throw refused(file, `line ${number - 1} is no memory`);
      hash.update(held).update('\n');
      memories++;
      yield record;
    }
    held = line;
  }
  const end = held === undefined ? undefined : memoryFileEnd.safeParse(parsed(held)).data;
  if (end === undefined) throw refused(file, 'its end is missing');
  if (end.memories !== memories || end.sha256 !== hash.digest('hex'))
    throw refused(file, 'it is not what its end says');
  return end;
}

async function* linesOf(file: string, { signal, reach }: ReadHow): AsyncGenerator<Buffer> {
  reach.require({ kind: 'file', path: file });
  try {
    await using pinned = await reach.pin(file);
    yield* readLines(pinned.file, LONGEST_LINE, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BadLinesError) throw refused(file, error.message);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new OpsError(
        'NotFound',
        `no such file: ${file}`,
        'it is read by the data workers, on their machine',
      );
    if (code === 'EACCES' || code === 'EISDIR')
      throw new OpsError('InvalidInput', `cannot read ${file}: ${code}`, 'it is read by the data workers');
    throw error;
  }
}

/** @returns undefined for what is no memory */
function recordOf(line: Buffer, at: number): MemoryRecord | undefined {
  try {
    return checkRecord(parsed(line), at);
  } catch (error) {
    if (error instanceof OpsError) return undefined;
    throw error;
  }
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
}

function refused(file: string, why: string): OpsError {
  return new OpsError('VerificationFailed', `${file}: ${why}`, 'export it again');
}
