import type { Pool } from '../../src/registry/database.js';
import type { DocumentAddress, DocumentClient } from '../../src/vespa/documents.js';
import type { FeedOperation } from '../../src/vespa/feeding/operation.js';
import { DocumentError } from '../../src/vespa/retry.js';

/** A process that is killed after its n-th step to the outside, before it has the answer: nothing it does later has any effect. */
export class Mortal {
  steps = 0;
  private dead = false;

  /** @param at from 1; 0: it lives */
  constructor(private readonly at = 0) {}

  get died(): boolean {
    return this.dead;
  }

  async step<T>(effect: () => Promise<T> | T): Promise<T> {
    if (this.dead) throw new Error('killed');
    const last = ++this.steps === this.at;
    const result = await effect();
    if (!last) return result;
    this.dead = true;
    throw new Error('killed');
  }

  pool(pool: Pool): Pool {
    const query = (...args: Parameters<Pool['query']>) => this.step(() => pool.query(...args));
    return new Proxy(pool, {
      get: (target, key) => (key === 'query' ? query : Reflect.get(target, key)) as unknown,
    });
  }
}

/** The documents of one schema in memory, and how often each was put. */
export class MemoryDocuments {
  readonly stored = new Map<string, Record<string, unknown>>();
  readonly puts = new Map<string, number>();
  /** Ids that the server refuses for good. */
  readonly refused = new Set<string>();

  /** The calls an ingest makes, each a step of the process that makes it. */
  client(mortal: Mortal): DocumentClient {
    return {
      capacity: 8,
      tryOnce: ({ at, ...operation }: FeedOperation) =>
        mortal.step(() => {
          if (!('body' in operation)) throw new Error('only puts are fed here');
          this.puts.set(at.id, (this.puts.get(at.id) ?? 0) + 1);
          if (this.refused.has(at.id))
            return { kind: 'failed', error: new DocumentError(400, '400: no such field') };
          const { fields } = JSON.parse(operation.body.toString()) as {
            fields: Record<string, unknown>;
          };
          this.stored.set(at.id, fields);
          return { kind: 'done' };
        }),
      get: ({ id }: DocumentAddress) => mortal.step(() => this.stored.get(id)),
      remove: ({ id }: DocumentAddress) => mortal.step(() => void this.stored.delete(id)),
    } as unknown as DocumentClient;
  }
}
