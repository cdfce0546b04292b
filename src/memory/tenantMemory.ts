import type { Incarnation, TenantId } from '../domain/ids.js';
import type { MemoryRoom } from './addRun.js';

/** One life of a tenant and the physical schema that a registry row gives it. */
export interface TenantLife {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  /** Physical schema of its memories, from `tenant_schemas`; never made from the tenant's name. */
  readonly schema: string;
}

/** Whose a memory is. An add names at least one of them; elsewhere each one given must be equal. */
export interface MemoryScope {
  readonly userId?: string;
  readonly agentId?: string;
  readonly runId?: string;
}

export interface AddOptions extends MemoryScope {
  /** The same key, scope and text again is the same memory; without one each call stores anew. */
  readonly key?: string;
  /** Plain JSON, kept as it is. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** What retention goes by; `memory` when not given. */
  readonly kind?: string;
  /** Not found from then on: a day, `YYYY-MM-DD`, the whole of which it still lives (UTC). */
  readonly expiresOn?: string;
  /** Lets the tenant's LLM take the facts out of the text; verbatim otherwise. */
  readonly infer?: boolean;
}

export interface AddedMemory {
  readonly id: string;
  /** `NONE`: it was there already. */
  readonly event: 'ADD' | 'NONE';
}

/** Times in ISO 8601, as Mem0 wrote them. */
export interface MemoryItem extends MemoryScope {
  readonly id: string;
  readonly memory: string;
  /** MD5 of the text, lower-case hex. */
  readonly hash: string;
  readonly createdAt: string;
  readonly updatedAt?: string;
  readonly expiresOn?: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly kind: string;
  /** Cosine of query and memory, in [0,1]; of a search only. */
  readonly score?: number;
}

export interface MemoryPage {
  readonly items: readonly MemoryItem[];
  /** Absent at the end. */
  readonly cursor?: string;
}

export interface MemoryStats {
  readonly total_memories: number;
  readonly unique_users: number;
  readonly unique_agents: number;
  /** Payloads and vectors, in 10^6 bytes. */
  readonly storage_mb: number;
}

/**
 * A memory as a backup or export holds it: everything that is stored. Written one a line, in no order; equal memories are
 * equal bytes.
 */
export interface MemoryRecord {
  readonly id: string;
  readonly kind: string;
  /** Mem0's payload, text, hash and times within. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** Id of the model that made the embedding. */
  readonly embedder: string;
  /** Upper-case hex of the float32 values, big-endian. */
  readonly embedding: string;
}

/** How a long call goes on and says how far it is. */
export interface LongCall<Progress> {
  readonly signal?: AbortSignal;
  /** What `onProgress` was last told in the try before. */
  readonly resume?: Progress;
  /** Told at every step, small enough for a heartbeat. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface LongRemoval extends LongCall<RemovalProgress> {
  /**
   * Hears how many there are before the first one goes, and answers what the first try was told: a try that was killed
   * before its first heartbeat left no progress.
   */
  readonly noteFound?: (found: number) => Promise<number>;
}

export interface RemovalProgress {
  /** Memories counted before the first one went. */
  readonly found: number;
  readonly removed: number;
  /** Of a clear's visit; absent before its first checkpoint. */
  readonly token?: string;
}

/** Memories last changed before a time go. Milliseconds since the epoch. */
export interface AgeCutoffs {
  /** Of kinds that are not named; absent: they stay. */
  readonly otherwise?: number;
  readonly kinds?: Readonly<Record<string, number>>;
  /** Those whose `expiresOn` is over by then go too. */
  readonly expiredAt?: number;
}

export interface Removed {
  readonly removed: number;
}

/**
 * One tenant's memories. Everything reads and writes the one schema of one life; what is found there and is not of this
 * life is an error, never an answer.
 *
 * @throws OpsError of every method: `InvalidInput`, `Unavailable` (worth another try), `VerificationFailed`
 */
export interface TenantMemory {
  /**
   * Stores a text as one memory, or what the LLM finds in it as several.
   *
   * @throws OpsError `Conflict` when the key stands for another text; `QuotaExceeded` of `room`
   */
  add(text: string, options: AddOptions, room?: MemoryRoom): Promise<AddedMemory[]>;
  /** Best first; an empty scope is the whole tenant. `topK` 10 by default, 400 at most. */
  search(query: string, options?: MemoryScope & { readonly topK?: number }): Promise<MemoryItem[]>;
  /** Newest first. `pageSize` 100 by default, 400 at most. */
  list(options?: MemoryScope & { readonly pageSize?: number; readonly cursor?: string }): Promise<MemoryPage>;
  get(id: string): Promise<MemoryItem | undefined>;
  /** @returns whether it was there; again is fine */
  delete(id: string): Promise<boolean>;
  /** How many there are. */
  count(signal?: AbortSignal): Promise<number>;
  /** How many of these are not there yet. */
  countNew(
    records: AsyncIterable<MemoryRecord> | Iterable<MemoryRecord>,
    signal?: AbortSignal,
  ): Promise<number>;
  /** Exact, by reading every memory's scope; seconds for 100,000. */
  stats(scope?: MemoryScope, signal?: AbortSignal): Promise<MemoryStats>;
  /**
   * Removes all of the tenant's memories and reads back that none is left. Nothing may be added meanwhile.
   *
   * @throws OpsError `VerificationFailed` when some are left
   */
  clear(call?: LongRemoval): Promise<Removed>;
  /** Removes by age and kind, some hundred a step; with `dryRun` counts only. Again is fine. */
  removeOlderThan(cutoffs: AgeCutoffs, call?: LongRemoval & { readonly dryRun?: boolean }): Promise<Removed>;
  /** Every memory, and what Mem0 keeps beside them, once. */
  exportRecords(signal?: AbortSignal): AsyncIterable<MemoryRecord>;
  /** Puts each under its id: again, or over a half of it, ends in the same. @returns how many were acknowledged */
  importRecords(
    records: AsyncIterable<MemoryRecord> | Iterable<MemoryRecord>,
    call?: { readonly signal?: AbortSignal; readonly onProgress?: (stored: number) => void },
  ): Promise<number>;
}
