import type { VectorStore, VectorStoreResult } from 'mem0ai/oss';
import { OpsError } from '../domain/errors.js';
import type { DocumentClient } from '../vespa/documents.js';
import { type AddRun, currentAdd, outcomeOf } from './addRun.js';
import { type StoredMemory, addressOf, documentBody, readStored, scopeOf } from './documents.js';
import { MAX_HITS } from './input.js';
import { NEWEST_FIRST, type Selection, conditionOf, find, nearest } from './query.js';
import type { AddedMemory, TenantLife } from './tenantMemory.js';
import { vectorHex } from './vectors.js';

export interface StoreOptions {
  readonly documents: DocumentClient;
  readonly life: TenantLife;
  /** Id of the model that makes the vectors. */
  readonly embedder: string;
}

type Payload = Record<string, unknown>;

/**
 * Mem0's vector store on one tenant's schema. What an add stores goes by its {@link AddRun}: it has the ids, and learns
 * of every failure, as Mem0 itself writes one to the console and answers that all is stored.
 */
export class VespaMemoryStore implements VectorStore {
  constructor(private readonly options: StoreOptions) {}

  async insert(vectors: number[][], _ids: string[], payloads: Payload[]): Promise<void> {
    const run = currentAdd();
    // A vector may be none then.
    if (run.hasFailed) return;
    const taken = await this.takeRoom(run, payloads);
    if (taken === undefined) return;
    const outcomes = await Promise.allSettled(
      payloads.map((payload, at) => this.insertOne(run, vectors[at]!, payload)),
    );
    const added = outcomes.filter((one) => one.status === 'fulfilled' && one.value.event === 'ADD').length;
    // What cannot be given back now is when the memories are counted anew.
    if (taken > added) await run.room?.giveBack(taken - added).catch(() => undefined);
    run.stored(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])));
    for (const outcome of outcomes) if (outcome.status === 'rejected') run.failed(outcome.reason);
  }

  /**
   * What is known already, for the LLM's prompt. What an earlier try of the same add has stored is not: Mem0 would leave
   * it out, and the answer would not say that it is there.
   */
  async search(query: number[], topK = 10, filters: Payload = {}): Promise<VectorStoreResult[]> {
    const run = currentAdd();
    if (run.hasFailed) return [];
    const { documents, life, embedder } = this.options;
    const hits = await nearest(documents, life, {
      ...{ vector: query, embedder, selection: selectionOf(filters), topK: Math.min(topK, MAX_HITS) },
    });
    return hits
      .filter(({ memory: { id, payload } }) => run.idOf(String(payload['hash'])) !== id)
      .map(({ memory, score }) => ({ ...resultOf(memory), score }));
  }

  async get(id: string): Promise<VectorStoreResult | null> {
    const memory = await getStored(this.options, id);
    return memory === undefined ? null : resultOf(memory);
  }

  async update(id: string, vector: number[], payload: Payload): Promise<void> {
    const { documents, life, embedder } = this.options;
    const before = await getStored(this.options, id);
    if (before === undefined) return;
    const body = documentBody(life, { ...before, embedder, payload }, vectorHex(vector));
    await documents.put(addressOf(life, id), body);
  }

  async delete(id: string): Promise<void> {
    await this.options.documents.remove(addressOf(this.options.life, id));
  }

  /** A tenant is cleared by `TenantMemory.clear`, which reads back what is left. */
  deleteCol(): Promise<void> {
    return Promise.reject(new Error('memories are not dropped through Mem0'));
  }

  async list(filters: Payload = {}, topK = 100): Promise<[VectorStoreResult[], number]> {
    const { documents, life } = this.options;
    const hits = await find({
      ...{ documents, life, hits: Math.min(topK, MAX_HITS), profile: 'unranked' },
      where: conditionOf(life, selectionOf(filters)),
      orderBy: NEWEST_FIRST,
    });
    return [hits.map(({ memory }) => resultOf(memory)), hits.length];
  }

  getUserId(): Promise<string> {
    return Promise.resolve('cvops');
  }

  setUserId(): Promise<void> {
    return Promise.resolve();
  }

  initialize(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Counts memories before they are stored; those that are all there already need no room, so that an add whose answer was
   * lost comes through at the limit too.
   *
   * @returns how many were counted; undefined when there is no room, of which the run was told
   */
  private async takeRoom(run: AddRun, payloads: readonly Payload[]): Promise<number | undefined> {
    if (run.room === undefined) return 0;
    try {
      await run.room.take(payloads.length);
      return payloads.length;
    } catch (error) {
      if (error instanceof OpsError && error.type === 'QuotaExceeded') {
        const ids = payloads.map(({ hash }) => run.idOf(String(hash)));
        const there = await Promise.all(ids.map((id) => getStored(this.options, id))).catch(() => [
          undefined,
        ]);
        if (there.every((memory) => memory !== undefined)) return 0;
      }
      run.failed(error);
      return undefined;
    }
  }

  private async insertOne(run: AddRun, vector: number[], payload: Payload): Promise<AddedMemory> {
    const { documents, life, embedder } = this.options;
    const id = run.idOf(String(payload['hash']));
    const body = documentBody(life, { id, kind: run.kind, embedder, payload }, vectorHex(vector));
    const isNew = await documents.putNew(addressOf(life, id), 'hash', body);
    return outcomeOf(id, payload, isNew ? undefined : (await getStored(this.options, id))?.payload);
  }
}

/**
 * Mem0's other collection, of what is named in memories, which its own search ranks by. Ours ranks by cosine alone, and
 * names that outlive the memory they are from would be found by no deletion: nothing is kept.
 */
export class NoEntities extends VespaMemoryStore {
  override insert(): Promise<void> {
    return Promise.resolve();
  }

  override search(): Promise<VectorStoreResult[]> {
    return Promise.resolve([]);
  }

  override list(): Promise<[VectorStoreResult[], number]> {
    return Promise.resolve([[], 0]);
  }
}

/** @throws OpsError `VerificationFailed` for a document of another life */
export async function getStored(
  { documents, life }: Pick<StoreOptions, 'documents' | 'life'>,
  id: string,
): Promise<StoredMemory | undefined> {
  const fieldSet = `${life.schema}:id,tenant_id,incarnation,kind,embedder,payload`;
  const fields = await documents.get(addressOf(life, id), { fieldSet });
  return fields === undefined ? undefined : readStored(life, fields);
}

/** Mem0 filters by equality of the scope's ids; anything else would be ignored, so it is refused. */
function selectionOf(filters: Payload): Selection {
  const unknown = Object.keys(filters).find((name) => !['user_id', 'agent_id', 'run_id'].includes(name));
  if (unknown !== undefined) throw new Error(`memories cannot be filtered by ${unknown}`);
  return scopeOf(filters);
}

function resultOf({ id, payload }: StoredMemory): VectorStoreResult {
  return { id, payload: { ...payload } };
}
