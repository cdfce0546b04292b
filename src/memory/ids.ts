import { createHash, randomUUID } from 'node:crypto';
import { isUuid } from '../domain/ids.js';
import type { MemoryScope } from './tenantMemory.js';

/** Of the ids made here, by RFC 9562's version 5; one value for ever. */
const NAMESPACE = Buffer.from('6f1d3c5ae2b84c0d9a7714be3f0c92d1', 'hex');

export function isMemoryId(id: string): boolean {
  return isUuid(id);
}

/**
 * The memories of one add: the same key in the same scope has the same id for the same place; without a key each add has
 * ids of its own. A verbatim text has the place 0, whatever it says; a fact its hash, as an LLM that is asked again may
 * find others, or the same in another order.
 */
export function memoryIds(scope: MemoryScope, key: string | undefined): (place: number | string) => string {
  if (key === undefined) return () => randomUUID();
  const { userId = '', agentId = '', runId = '' } = scope;
  return (place) => uuid5(userId, agentId, runId, key, String(place));
}

/** Puts memories of one moment in an order: the first 48 bits of the id, exact as a JavaScript number. */
export function positionOf(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}

/** @param parts as JSON, so that no two lists make one name */
function uuid5(...parts: readonly string[]): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(JSON.stringify(parts)).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
