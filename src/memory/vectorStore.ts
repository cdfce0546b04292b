import type { VectorStore, VectorStoreResult } from 'mem0ai/oss';
import type { DocumentClient } from '../vespa/documents.js';
import { type AddRun, currentAdd } from './addRun.js';
import { type StoredMemory, addressOf, documentBody, isEntity, readStored, scopeOf } from './documents.js';
import { entityId } from './ids.js';
import { ENTITY_KIND, MAX_HITS } from './input.js';
import { type Selection, byWords, conditionOf, find, nearest } from './query.js';
import type { TenantLife } from './tenantMemory.js';
import { vectorHex } from './vectors.js';

export interface StoreOptions {
  readonly documents: DocumentClient;
  readonly life: TenantLife;
  /** Id of the model that made the vectors. */
  readonly embedder: string;
}

type Payload = Record<string, unknown>;

/**
 * Mem0's vector store on one tenant's schema. Memories and what Mem0 finds named in them (its `…_entities` collection)
 * are rows of one schema, told apart by `kind`; each instance sees one of the two.
 *
 * What an add stores goes by its {@link AddRun}: it has the ids, and learns of every failure, as Mem0 itself writes one
 * to the console and answers that all is stored.
 */
export class VespaMemoryStore implements VectorStore {
  private userId = 'cvops';

  constructor(
    private readonly options: StoreOptions,
    private readonly entities: boolean,
  ) {}

  async insert(vectors: number[][], ids: string[], payloads: Payload[]): Promise<void> {
    const run = currentAdd();
    await Promise.all(payloads.map((payload, at) => this.insertOne(run, vectors[at]!, ids[at]!, payload)));
  }

  async search(query: number[], topK = 10, filters: Payload = {}): Promise<VectorStoreResult[]> {
    const hits = await nearest(this.options.documents, this.options.life, {
      vector: query,
      selection: this.selection(filters),
      topK: Math.min(topK, MAX_HITS),
    });
    return hits.map(({ memory, score }) => ({ id: memory.id, payload: { ...memory.payload }, score }));
  }

  async keywordSearch(query: string, topK = 10, filters: Payload = {}): Promise<VectorStoreResult[] | null> {
    if (query.trim() === '') return [];
    const hits = await byWords(this.options.documents, this.options.life, {
      words: query,
      selection: this.selection(filters),
      topK: Math.min(topK, MAX_HITS),
    });
    return hits.map(({ memory, score }) => ({ id: memory.id, payload: { ...memory.payload }, score }));
  }

  async get(id: string): Promise<VectorStoreResult | null> {
    const memory = await getStored(this.options, id);
    return memory === undefined || isEntity(memory) !== this.entities
      ? null
      : { id, payload: { ...memory.payload } };
  }

  async update(id: string, vector: number[], payload: Payload): Promise<void> {
    const { documents, life, embedder } = this.options;
    const before = await getStored(this.options, id);
    const kind = this.entities ? ENTITY_KIND : (before?.kind ?? currentAdd()?.kind);
    if (kind === undefined) return;
    const stored = { id, kind, embedder, payload: currentAdd()?.renamed(payload) ?? payload };
    await documents.put(addressOf(life, id), documentBody(life, stored, vectorHex(vector)));
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
      where: conditionOf(life, this.selection(filters)),
      orderBy: 'created_at desc, position asc',
    });
    return [hits.map(({ memory }) => ({ id: memory.id, payload: { ...memory.payload } })), hits.length];
  }

  getUserId(): Promise<string> {
    return Promise.resolve(this.userId);
  }

  setUserId(userId: string): Promise<void> {
    this.userId = userId;
    return Promise.resolve();
  }

  initialize(): Promise<void> {
    return Promise.resolve();
  }

  private async insertOne(
    run: AddRun | undefined,
    vector: number[],
    made: string,
    payload: Payload,
  ): Promise<void> {
    const { documents, life, embedder } = this.options;
    if (run === undefined) throw new Error('memories are added through TenantMemory.add');
    try {
      const hex = vectorHex(vector);
      if (this.entities) {
        const id = entityId(scopeOf(payload), String(payload['data']));
        const stored = { id, kind: ENTITY_KIND, embedder, payload: run.renamed(payload) };
        await documents.put(addressOf(life, id), documentBody(life, stored, hex));
        return;
      }
      const id = run.idFor(made);
      const stored = { id, kind: run.kind, embedder, payload };
      const at = addressOf(life, id);
      const isNew = await documents.putNew(at, 'hash', documentBody(life, stored, hex));
      run.stored(id, payload, isNew ? undefined : (await getStored(this.options, id))?.payload);
    } catch (error) {
      run.failed(error);
      throw error;
    }
  }

  /** Mem0 filters by flat equality of the scope's ids; anything else it was asked for is not known to the store. */
  private selection(filters: Payload): Selection {
    const unknown = Object.keys(filters).find((name) => !['user_id', 'agent_id', 'run_id'].includes(name));
    if (unknown !== undefined) throw new Error(`memories cannot be filtered by ${unknown}`);
    return { ...scopeOf(filters), entities: this.entities };
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
