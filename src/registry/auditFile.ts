import { open, rm } from 'node:fs/promises';
import { OpsError } from '../domain/errors.js';
import { BadLinesError, readLines } from '../readLines.js';
import { type AuditHead, type AuditLink, type AuditVerdict, auditHead, auditLinks } from './audit.js';
import { verifyChain } from './auditChain.js';
import type { Queryable } from './database.js';

/** Bytes written at once. */
const BLOCK = 256 * 1024;
/** Bytes; a row's reason and detail are bounded far below. */
const LONGEST_LINE = 1 << 22;

/**
 * Writes the audit log up to its present end: a row a line as JSON, `at` in ISO 8601, with its hashes, and a last line
 * `{"head":{"seq":…,"hash":…}}`. Read in pages, so that its size is of no matter. Only this user may read the file.
 *
 * @throws OpsError `Conflict` when the file exists, `InvalidInput` when it cannot be written
 */
export async function exportAudit(db: Queryable, file: string): Promise<AuditHead> {
  const handle = await open(file, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') throw new OpsError('Conflict', `${file} exists`, 'name another file');
    throw new OpsError('InvalidInput', `${file} cannot be written (${error.code})`);
  });
  try {
    const head = await auditHead(db);
    let held = '';
    if (head.seq > 0)
      for await (const link of auditLinks(db, head.seq)) {
        held += `${JSON.stringify(link)}\n`;
        if (held.length < BLOCK) continue;
        await handle.writeFile(held);
        held = '';
      }
    await handle.writeFile(`${held}${JSON.stringify({ head })}\n`);
    await handle.sync();
    await handle.close();
    return head;
  } catch (error) {
    await handle.close().catch(() => undefined);
    // Half a file would be taken for the whole.
    await rm(file, { force: true });
    throw error;
  }
}

/**
 * Verifies an export, without a database.
 *
 * @throws OpsError `NotFound`, `InvalidInput` when it cannot be read
 */
export async function verifyAuditFile(file: string, noted?: AuditHead): Promise<AuditVerdict> {
  const end: { head?: AuditHead; problem?: string } = {};
  const verdict = await verifyChain(linksOf(file, end), noted);
  if (verdict.brokenAt !== undefined) return verdict;
  const { rows, head } = verdict;
  const problem =
    end.problem ??
    (end.head === undefined
      ? 'its last line, which names the head, is missing: the file is cut off'
      : end.head.seq !== rows || (rows > 0 && end.head.hash !== head)
        ? `it names the head ${end.head.seq}:${end.head.hash}, and ends at row ${rows}`
        : undefined);
  return problem === undefined ? verdict : { ...verdict, brokenAt: rows + 1, problem };
}

async function* linksOf(
  file: string,
  end: { head?: AuditHead; problem?: string },
): AsyncGenerator<AuditLink> {
  let count = 0;
  try {
    for await (const line of readLines(file, LONGEST_LINE)) {
      count++;
      const parsed = parseLine(line.toString('utf8'));
      if (end.head !== undefined) end.problem = `line ${count} follows the line that names the head`;
      else if (parsed === undefined) end.problem = `line ${count} is no row of an export`;
      else if ('head' in parsed) end.head = parsed.head;
      else yield parsed;
      if (end.problem !== undefined) return;
    }
  } catch (error) {
    if (error instanceof BadLinesError) {
      end.problem = error.message;
      return;
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new OpsError('NotFound', `no such file: ${file}`);
    if (code !== undefined) throw new OpsError('InvalidInput', `${file} cannot be read (${code})`);
    throw error;
  }
}

const TEXTS = ['principal', 'verb', 'tenant', 'outcome', 'reason', 'previous', 'hash'] as const;

function parseLine(line: string): AuditLink | { readonly head: AuditHead } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object') return undefined;
  const row = value as Record<string, unknown>;
  if ('head' in row) {
    const { seq, hash } = (row['head'] ?? {}) as Record<string, unknown>;
    return typeof seq === 'number' && typeof hash === 'string' ? { head: { seq, hash } } : undefined;
  }
  const at = new Date(String(row['at']));
  const { operation } = row;
  const isRow =
    Number.isSafeInteger(row['seq']) &&
    !Number.isNaN(at.getTime()) &&
    TEXTS.every((name) => typeof row[name] === 'string') &&
    (operation === null || typeof operation === 'string') &&
    row['detail'] !== undefined;
  return isRow ? ({ ...row, at } as unknown as AuditLink) : undefined;
}
