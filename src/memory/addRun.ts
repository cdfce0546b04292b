import { AsyncLocalStorage } from 'node:async_hooks';
import { OpsError } from '../domain/errors.js';
import type { AddedMemory } from './tenantMemory.js';

type Payload = Readonly<Record<string, unknown>>;

/** What a tenant may still store. */
export interface MemoryRoom {
  /** @throws OpsError `QuotaExceeded` */
  take(memories: number): Promise<void>;
  /** Of those taken: they were there already, or could not be stored. */
  giveBack(memories: number): Promise<void>;
}

/**
 * One add on its way through Mem0, which knows neither the caller's key nor failures: the store asks it for ids, and store,
 * embedder and LLM tell it what failed.
 */
export class AddRun {
  private readonly added: AddedMemory[] = [];
  private failure: Error | undefined;

  /**
   * @param idOf of the memory of this add whose text has this MD5
   * @param vectors of texts that are embedded already
   */
  constructor(
    readonly kind: string,
    readonly idOf: (hash: string) => string,
    readonly vectors: ReadonlyMap<string, ArrayLike<number>>,
    /** Of the tenant's quota; without one nothing is counted. */
    readonly room?: MemoryRoom,
  ) {}

  /** From then on nothing more is stored, as the whole add is to be tried again. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  get hasStored(): boolean {
    return this.added.length > 0;
  }

  stored(memories: readonly AddedMemory[]): void {
    this.added.push(...memories);
  }

  /** Instead of throwing into Mem0, which prints what it catches and goes on. */
  failed(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** @throws the first failure, whatever Mem0 made of it */
  results(): AddedMemory[] {
    if (this.failure !== undefined) throw this.failure;
    return this.added;
  }
}

const adds = new AsyncLocalStorage<AddRun>();

/** @throws Error outside of an add: nothing else goes through Mem0 */
export function currentAdd(): AddRun {
  const run = adds.getStore();
  if (run === undefined) throw new Error('memories are added through TenantMemory.add');
  return run;
}

/** Runs Mem0's add; what is thrown within a store comes out as it was thrown. */
export async function inAdd(run: AddRun, work: () => Promise<unknown>): Promise<AddedMemory[]> {
  await adds.run(run, work).catch((error: unknown) => {
    run.failed(error);
  });
  return run.results();
}

/**
 * What a put of this payload came to.
 *
 * @param before what was stored under the id already
 * @throws OpsError `Conflict` when that is another text
 */
export function outcomeOf(id: string, payload: Payload, before: Payload | undefined): AddedMemory {
  if (before !== undefined && before['hash'] !== payload['hash'])
    throw new OpsError(
      'Conflict',
      `the key was used for another text (memory ${id})`,
      'use a new key for each memory',
    );
  // An answer that was lost: the put tried again meets what it has stored itself.
  const own = before === undefined || JSON.stringify(before) === JSON.stringify(payload);
  return { id, event: own ? 'ADD' : 'NONE' };
}
