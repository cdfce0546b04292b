import { AsyncLocalStorage } from 'node:async_hooks';
import { OpsError } from '../domain/errors.js';
import type { AddedMemory } from './tenantMemory.js';

type Payload = Readonly<Record<string, unknown>>;

/**
 * One add on its way through Mem0, which knows neither the caller's key nor failures: the store asks it for ids and tells
 * it what became of each memory.
 */
export class AddRun {
  private readonly ids = new Map<string, string>();
  private readonly added = new Map<string, AddedMemory>();
  private failure: Error | undefined;

  /**
   * @param idAt of the first, second, … memory of the add
   * @param vectors of texts that are embedded already: what the embedder throws there, Mem0 would print
   */
  constructor(
    readonly kind: string,
    private readonly idAt: (at: number) => string,
    readonly vectors: ReadonlyMap<string, ArrayLike<number>>,
  ) {}

  /** @param made Mem0's own id, at random; the same one again when it tries a failed one alone */
  idFor(made: string): string {
    let id = this.ids.get(made);
    if (id === undefined) this.ids.set(made, (id = this.idAt(this.ids.size)));
    return id;
  }

  /**
   * @param before what was stored under the id already
   * @throws OpsError `Conflict` when that is another text
   */
  stored(id: string, payload: Payload, before: Payload | undefined): void {
    if (before !== undefined && before['hash'] !== payload['hash'])
      throw new OpsError(
        'Conflict',
        `the key was used for another text (memory ${id})`,
        'use a new key for each memory',
      );
    // An answer that was lost: the put tried again meets what it has stored itself.
    const own = before === undefined || JSON.stringify(before) === JSON.stringify(payload);
    this.added.set(id, { id, event: own ? 'ADD' : 'NONE' });
  }

  failed(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** @throws the first failure, whatever Mem0 made of it */
  results(): AddedMemory[] {
    if (this.failure !== undefined) throw this.failure;
    return [...this.added.values()];
  }
}

const adds = new AsyncLocalStorage<AddRun>();

export function currentAdd(): AddRun | undefined {
  return adds.getStore();
}

/** Runs Mem0's add; what is thrown within a store comes out as it was thrown. */
export async function inAdd(run: AddRun, work: () => Promise<unknown>): Promise<AddedMemory[]> {
  await adds.run(run, work).catch((error: unknown) => {
    run.failed(error);
  });
  return run.results();
}
