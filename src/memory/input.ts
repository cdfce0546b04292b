import { OpsError } from '../domain/errors.js';
import { parseKind } from '../domain/memory.js';
import { quoteForMessage } from '../domain/ids.js';
import { isMemoryId } from './ids.js';
import type { AddOptions, MemoryScope } from './tenantMemory.js';

/** Longest text of a memory, in bytes of UTF-8: some ten pages. */
export const MAX_TEXT_BYTES = 32 << 10;
/** Largest metadata, in bytes of JSON. */
export const MAX_METADATA_BYTES = 16 << 10;
/** Most hits that one Vespa query gives. */
export const MAX_HITS = 400;

/** Kind of a memory of which nothing was said. */
export const DEFAULT_KIND = 'memory';

/** Names that Mem0 drops from metadata or writes over: taken, they would be lost. */
const RESERVED = new Set([
  ...['user_id', 'agent_id', 'run_id', 'userId', 'agentId', 'runId', 'actor_id', 'attributedTo'],
  ...['data', 'hash', 'textLemmatized', 'createdAt', 'updatedAt', 'expiration_date'],
]);

/** @throws OpsError `InvalidInput` */
export function checkText(text: string, what = 'the text of a memory'): void {
  if (text.trim() === '') throw invalid(`${what} is empty`);
  if (!text.isWellFormed() || hasControl(text))
    throw invalid(`${what} holds control characters or half of a surrogate pair`, 'take them out');
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_TEXT_BYTES)
    throw invalid(`${what} has ${bytes} bytes`, `at most ${MAX_TEXT_BYTES}: divide it`);
}

/** @throws OpsError `InvalidInput` */
export function checkScope({ userId, agentId, runId }: MemoryScope): void {
  for (const [what, id] of Object.entries({ user: userId, agent: agentId, run: runId })) {
    // Mem0 trims, and refuses inner white space; we change nothing.
    if (id !== undefined && !/^[^\s\p{C}]{1,256}$/u.test(id))
      throw invalid(`not a ${what} id: ${quoteForMessage(id)}`, '1 to 256 characters without white space');
  }
}

/** @throws OpsError `InvalidInput` */
export function checkAdd(text: string, options: AddOptions): void {
  checkText(text);
  checkScope(options);
  const { userId, agentId, runId, key, metadata, kind, expiresOn } = options;
  if (userId === undefined && agentId === undefined && runId === undefined)
    throw invalid('a memory is of a user, an agent or a run', 'give at least one of them');
  if (key !== undefined && (key === '' || key.length > 512 || !key.isWellFormed()))
    throw invalid('a key has 1 to 512 characters');
  if (kind !== undefined) parseKind(kind);
  if (expiresOn !== undefined) expiryOf(expiresOn);
  if (metadata !== undefined) checkMetadata(metadata);
}

/** @throws OpsError `InvalidInput` */
export function checkId(id: string): void {
  if (!isMemoryId(id))
    throw invalid(
      `not a memory id: ${quoteForMessage(id)}`,
      'it is a UUID in lower case, as add and list give it',
    );
}

/**
 * @param max {@link MAX_HITS}, a query's limit
 * @throws OpsError `InvalidInput`
 */
export function checkCount(count: number, what: string, max = MAX_HITS): void {
  if (!Number.isInteger(count) || count < 1 || count > max)
    throw invalid(`${what} is a whole number from 1 to ${max}`);
}

/**
 * When the last day is over, in milliseconds since the epoch.
 *
 * @throws OpsError `InvalidInput`
 */
export function expiryOf(day: string): number {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(start) || new Date(start).toISOString().slice(0, 10) !== day)
    throw invalid(`not a day: ${quoteForMessage(day)}`, 'as YYYY-MM-DD');
  return start + 24 * 60 * 60 * 1000;
}

function checkMetadata(metadata: Readonly<Record<string, unknown>>): void {
  for (const key of Object.keys(metadata)) {
    if (RESERVED.has(key)) throw invalid(`metadata cannot have the name ${key}`, 'Mem0 keeps it for itself');
  }
  let json: string | undefined;
  try {
    json = JSON.stringify(metadata);
  } catch {
    // A cycle, or a bigint.
  }
  if (json === undefined || !json.isWellFormed()) throw invalid('metadata is no plain JSON');
  if (Buffer.byteLength(json) > MAX_METADATA_BYTES)
    throw invalid('metadata is too large', `at most ${MAX_METADATA_BYTES} bytes of JSON`);
}

/** What Vespa's string fields refuse; tab, line feed and carriage return they take. */
function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 && code !== 9 && code !== 10 && code !== 13) return true;
    if (code >= 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) return true;
  }
  return false;
}

function invalid(message: string, hint?: string): OpsError {
  return new OpsError('InvalidInput', message, hint);
}
