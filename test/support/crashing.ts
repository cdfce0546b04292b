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
    return this.object(pool, 'query');
  }

  /** The same with each query of a transaction a step; what a dead process has begun is rolled back. */
  poolWithTransactions(pool: Pool): Pool {
    const connect = async () => {
      const client = await pool.connect();
      const query = (...args: Parameters<typeof client.query>) =>
        args[0] === ROLLBACK ? client.query(...args) : this.step(() => client.query(...args));
      return replaced(client, { query });
    };
    return replaced(this.pool(pool), { connect });
  }

  /** Each call of these methods is a step. */
  object<T extends object>(target: T, ...methods: readonly (keyof T & string)[]): T {
    const steps = methods.map((name) => {
      const method = target[name] as (...args: unknown[]) => unknown;
      return [name, (...args: unknown[]) => this.step(() => method.apply(target, args))];
    });
    return replaced(target, Object.fromEntries(steps) as object);
  }
}

const ROLLBACK = 'rollback' as Parameters<Pool['query']>[0];

/** An object with other methods of these names; the rest is its own. */
function replaced<T extends object>(target: T, methods: object): T {
  return new Proxy(target, {
    get: (_, key) => {
      if (Object.hasOwn(methods, key)) return Reflect.get(methods, key) as unknown;
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
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
