import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { MEMORY_FILE_FORMAT } from '../../contracts/memory.js';
import { OpsError } from '../../domain/errors.js';
import type { TenantId } from '../../domain/ids.js';
import type { MemoryRecord } from '../tenantMemory.js';

/** Bytes gathered before they are written. */
const PIECE = 1 << 20;

/**
 * Writes memories, one a line between a head and an end that counts and proves them. The file has its name only when it
 * is whole; one of that name is replaced.
 *
 * @returns how many there are, and the SHA-256 of their lines
 * @throws OpsError `InvalidInput` when it cannot be written there; what the records throw
 */
export async function writeMemoryFile(
  file: string,
  tenant: TenantId,
  records: AsyncIterable<MemoryRecord>,
): Promise<{ memories: number; sha256: string }> {
  const draft = `${file}.${randomUUID().slice(0, 8)}.part`;
  // Memories are personal data: for nobody but their writer.
  const handle = await open(draft, 'wx', 0o600).catch((error: unknown) => {
    throw new OpsError(
      'InvalidInput',
      `cannot write ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
      'name a file in a folder that is there',
    );
  });
  try {
    const end = await writeTo(handle, tenant, records);
    await handle.sync();
    await handle.close();
    await rename(draft, file);
    return end;
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(draft, { force: true });
    throw error;
  }
}

async function writeTo(
  handle: FileHandle,
  tenant: TenantId,
  records: AsyncIterable<MemoryRecord>,
): Promise<{ memories: number; sha256: string }> {
  const hash = createHash('sha256');
  let [memories, pending] = [0, ''];
  const flush = async () => {
    const text = pending;
    pending = '';
    await handle.appendFile(text);
  };
  pending += `${JSON.stringify({ format: MEMORY_FILE_FORMAT, version: 1, tenant })}\n`;
  for await (const record of records) {
    const line = `${JSON.stringify(record)}\n`;
    hash.update(line);
    memories++;
    pending += line;
    if (pending.length > PIECE) await flush();
  }
  const end = { memories, sha256: hash.digest('hex') };
  pending += `${JSON.stringify(end)}\n`;
  await flush();
  return end;
}
