import type { Memory } from 'mem0ai/oss';
import { OpsError } from '../domain/errors.js';
import type { DocumentClient } from '../vespa/documents.js';
import { AddRun, type MemoryRoom, inAdd } from './addRun.js';
import { addressOf, itemOf } from './documents.js';
import type { Embedder } from './embedders/port.js';
import { inOpsErrors, opsErrorOf } from './failures.js';
import { memoryIds } from './ids.js';
import { DEFAULT_KIND, checkAdd, checkCount, checkId, checkScope, checkText } from './input.js';
import { listPage } from './listing.js';
import { conditionOf, countRows, nearest } from './query.js';
import { clearAll, removeByAge } from './removing.js';
import type { RunningCalls } from './runningCalls.js';
import { statsOf } from './stats.js';
import type {
  AddOptions,
  AddedMemory,
  AgeCutoffs,
  LongRemoval,
  MemoryItem,
  MemoryPage,
  MemoryRecord,
  MemoryScope,
  MemoryStats,
  Removed,
  TenantLife,
  TenantMemory,
} from './tenantMemory.js';
import { countNew, exportAll, importAll } from './transfer.js';
import { getStored } from './vectorStore.js';

const DEFAULT_TOP_K = 10;
const DEFAULT_PAGE = 100;

export interface TenantMemoryParts {
  readonly documents: DocumentClient;
  readonly life: TenantLife;
  readonly embedder: Embedder;
  /** Made at the first add: nothing else goes through Mem0. */
  readonly mem0: () => Promise<Memory>;
  readonly calls: RunningCalls;
  /** Whether an LLM is configured. */
  readonly infers: boolean;
  /** The content cluster's name. */
  readonly cluster: () => Promise<string>;
}

/** {@link TenantMemory} on a schema of Vespa. */
export class VespaTenantMemory implements TenantMemory {
  constructor(private readonly parts: TenantMemoryParts) {}

  add(text: string, options: AddOptions, room?: MemoryRoom): Promise<AddedMemory[]> {
    return this.call(async () => {
      checkAdd(text, options);
      const { userId, agentId, runId, key, metadata, kind, expiresOn, infer = false } = options;
      const { mem0, infers } = this.parts;
      if (infer && !infers)
        throw new OpsError(
          'InvalidInput',
          `tenant ${this.parts.life.tenant} has no LLM that could take facts out of a text`,
          'set llm_api_key in its configuration, or add the text as it is',
        );
      const [memory, vectors] = await Promise.all([mem0(), infer ? [] : this.parts.embedder.embed([text])]);
      const embedded = new Map(vectors.map((vector) => [text, vector]));
      const ids = memoryIds(options, key);
      const run = new AddRun(kind ?? DEFAULT_KIND, (hash) => ids(infer ? hash : 0), embedded, room);
      return inAdd(run, () =>
        memory.add(text, {
          infer,
          ...(userId === undefined ? {} : { userId }),
          ...(agentId === undefined ? {} : { agentId }),
          ...(runId === undefined ? {} : { runId }),
          ...(metadata === undefined ? {} : { metadata: structuredClone(metadata) }),
          ...(expiresOn === undefined ? {} : { expirationDate: expiresOn }),
        }),
      );
    });
  }

  search(query: string, options: MemoryScope & { readonly topK?: number } = {}): Promise<MemoryItem[]> {
    return this.call(async () => {
      const { topK = DEFAULT_TOP_K, ...scope } = options;
      checkText(query, 'the query');
      checkScope(scope);
      checkCount(topK, 'the number of hits');
      const { documents, life, embedder } = this.parts;
      const [vector] = await embedder.embed([query]);
      const hits = await nearest(documents, life, {
        ...{ vector: vector!, embedder: embedder.id, topK },
        selection: { ...scope, now: Date.now() },
      });
      return hits.map(({ memory, score }) => itemOf(memory, score));
    });
  }

  list(
    options: MemoryScope & { readonly pageSize?: number; readonly cursor?: string } = {},
  ): Promise<MemoryPage> {
    return this.call(() => {
      const { pageSize = DEFAULT_PAGE } = options;
      checkScope(options);
      checkCount(pageSize, 'the size of a page');
      return listPage(this.parts.documents, this.parts.life, { ...options, pageSize, now: Date.now() });
    });
  }

  get(id: string): Promise<MemoryItem | undefined> {
    return this.call(async () => {
      checkId(id);
      const stored = await getStored(this.parts, id);
      return stored && itemOf(stored);
    });
  }

  delete(id: string): Promise<boolean> {
    return this.call(async () => {
      checkId(id);
      if ((await getStored(this.parts, id)) === undefined) return false;
      await this.parts.documents.remove(addressOf(this.parts.life, id));
      return true;
    });
  }

  count(signal?: AbortSignal): Promise<number> {
    const { documents, life } = this.parts;
    return this.call(() => countRows({ documents, life, where: conditionOf(life, {}), signal }));
  }

  countNew(
    records: AsyncIterable<MemoryRecord> | Iterable<MemoryRecord>,
    signal?: AbortSignal,
  ): Promise<number> {
    return this.call(() => countNew(this.parts, records, signal));
  }

  stats(scope: MemoryScope = {}, signal?: AbortSignal): Promise<MemoryStats> {
    return this.call(async () => {
      checkScope(scope);
      return statsOf(await this.reading(signal), scope);
    });
  }

  clear(call: LongRemoval = {}): Promise<Removed> {
    return this.call(async () => clearAll(this.parts, await this.parts.cluster(), call));
  }

  removeOlderThan(
    cutoffs: AgeCutoffs,
    call: LongRemoval & { readonly dryRun?: boolean } = {},
  ): Promise<Removed> {
    return this.call(() => removeByAge(this.parts, cutoffs, call));
  }

  async *exportRecords(signal?: AbortSignal): AsyncGenerator<MemoryRecord> {
    try {
      yield* exportAll(await this.reading(signal));
    } catch (error) {
      throw opsErrorOf(error);
    }
  }

  importRecords(
    records: AsyncIterable<MemoryRecord> | Iterable<MemoryRecord>,
    call: { readonly signal?: AbortSignal; readonly onProgress?: (stored: number) => void } = {},
  ): Promise<number> {
    return this.call(() => importAll(this.parts, records, call));
  }

  private call<T>(work: () => Promise<T>): Promise<T> {
    return this.parts.calls.run(() => inOpsErrors(work));
  }

  private async reading(signal: AbortSignal | undefined) {
    const { documents, life, cluster } = this.parts;
    return { source: documents, life, cluster: await cluster(), signal };
  }
}
