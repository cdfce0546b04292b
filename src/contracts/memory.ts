import { z } from 'zod';
import { parseKind } from '../domain/memory.js';
import { accepts, incarnation, operationId, principal, reason, tenantId } from './common.js';

/** What a name, a text or a count may be is `src/memory`'s to say, with what to do. */
const text = z.string();
const scope = { userId: z.exactOptional(text), agentId: z.exactOptional(text), runId: z.exactOptional(text) };
const kind = z.string().refine((value) => accepts(parseKind, value), 'not a kind of memory');

export const addMemoryInput = z.strictObject({
  tenant: tenantId,
  text,
  ...scope,
  key: z.exactOptional(text),
  metadata: z.exactOptional(z.record(z.string(), z.unknown())),
  kind: z.exactOptional(text),
  expiresOn: z.exactOptional(text),
  infer: z.exactOptional(z.boolean()),
});
export type AddMemoryInput = z.infer<typeof addMemoryInput>;

export const searchMemoryInput = z.strictObject({
  tenant: tenantId,
  query: text,
  ...scope,
  topK: z.exactOptional(z.number()),
});
export type SearchMemoryInput = z.infer<typeof searchMemoryInput>;

export const listMemoryInput = z.strictObject({
  tenant: tenantId,
  ...scope,
  pageSize: z.exactOptional(z.number()),
  cursor: z.exactOptional(text),
});
export type ListMemoryInput = z.infer<typeof listMemoryInput>;

const age = z.int().min(1);
/** That it has a rule at all is `requireRetention`'s to say, with what to do. */
export const memoryRetention = z.strictObject({
  olderThan: z.exactOptional(age),
  kinds: z.record(kind, age),
});

const asked = {
  tenant: tenantId,
  operation: operationId,
  principal,
  /** Who may ask: a principal of one tenant has this; without it, one of all. */
  principalTenant: z.exactOptional(tenantId),
  reason,
};

/** Input of the workflow `clearMemory`. */
export const clearMemoryInput = z.strictObject(asked);
export type ClearMemoryInput = z.infer<typeof clearMemoryInput>;

export interface ClearMemoryResult {
  readonly tenant: string;
  readonly operation: string;
  readonly removed: number;
}

/** Input of the workflow `pruneMemory`, asked for by hand. */
export const pruneMemoryInput = z.strictObject({ ...asked, retention: memoryRetention });
/** The same, kept in a schedule: what the schedule is. */
export const scheduledPruneInput = z.strictObject({
  version: z.literal(1),
  tenant: tenantId,
  /** A re-created tenant has not asked for it. */
  incarnation,
  /** `1d` or a cron expression, as it was asked for: the server gives it back in another form. */
  every: z.string().max(200),
  retention: memoryRetention,
});
export type ScheduledPruneInput = z.infer<typeof scheduledPruneInput>;
export type PruneMemoryInput = z.infer<typeof pruneMemoryInput> | ScheduledPruneInput;

export interface PruneMemoryResult {
  readonly tenant: string;
  /** `skipped`: a scheduled one that found the tenant closed; `why` says how. */
  readonly outcome: 'done' | 'skipped';
  readonly removed: number;
  readonly operation?: string;
  readonly why?: string;
}

/** Input of the workflow `importMemory`. */
export const importMemoryInput = z.strictObject({
  ...asked,
  /** Absolute, as the data workers see it. */
  file: z.string().min(1).max(4_000),
});
export type ImportMemoryInput = z.infer<typeof importMemoryInput>;

export interface ImportMemoryResult {
  readonly tenant: string;
  readonly operation: string;
  /** How many Vespa acknowledged: as many as the file has. */
  readonly memories: number;
}

export const MEMORY_FILE_FORMAT = 'cogniverse-ops/memory';

/** First line of an exported file. */
export const memoryFileHead = z.strictObject({
  format: z.literal(MEMORY_FILE_FORMAT),
  version: z.literal(1),
  /** Whose they were. */
  tenant: tenantId,
});

/** Last line: a file that was cut off has none. */
export const memoryFileEnd = z.strictObject({
  memories: z.int().min(0),
  /** Of all lines between, each with its newline. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type MemoryFileEnd = z.infer<typeof memoryFileEnd>;
