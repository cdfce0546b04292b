import type * as Mem0 from 'mem0ai/oss';
import { currentAdd } from './addRun.js';
import type { Embedder } from './embedders/port.js';
import { DIMENSIONS } from './documents.js';
import { NoEntities, type StoreOptions, VespaMemoryStore } from './vectorStore.js';

/** Ours among Mem0's stores and LLMs, which are closed lists. */
const PROVIDER = 'cvops';
type Stores = (collection: string) => VespaMemoryStore;

let library: Promise<typeof Mem0> | undefined;

/**
 * Mem0, loaded at the first use. Its telemetry is read from the environment while it loads, and is on unless told
 * otherwise; its lists of stores and of LLMs are static methods, which are asked for ours first.
 */
function loadMem0(): Promise<typeof Mem0> {
  return (library ??= (async () => {
    process.env['MEM0_TELEMETRY'] = 'false';
    const mem0 = await import('mem0ai/oss');
    const { LLMFactory, VectorStoreFactory } = mem0;
    const create = VectorStoreFactory.create.bind(VectorStoreFactory);
    VectorStoreFactory.create = (provider: string, config: Mem0.VectorStoreConfig) =>
      provider === PROVIDER
        ? (config['stores'] as Stores)(config.collectionName ?? '')
        : create(provider, config);
    const createLlm = LLMFactory.create.bind(LLMFactory);
    LLMFactory.create = (provider: string, config: Mem0.LLMConfig) =>
      provider === PROVIDER ? (config.model as Mem0.LLM) : createLlm(provider, config);
    return mem0;
  })());
}

/** Mem0 for one tenant. No history, no file, no network but that of store, embedder and LLM. */
export async function createMem0(
  store: StoreOptions,
  embedder: Embedder,
  llm: Mem0.LLM,
): Promise<Mem0.Memory> {
  const mem0 = await loadMem0();
  const { schema } = store.life;
  const stores: Stores = (collection) =>
    collection === schema ? new VespaMemoryStore(store) : new NoEntities(store);
  const memory = new mem0.Memory({
    // It asks its LangChain adapter for nothing but these two methods.
    embedder: { provider: 'langchain', config: { model: embeddingsOf(embedder) } },
    vectorStore: {
      provider: PROVIDER,
      config: { collectionName: schema, dimension: DIMENSIONS, stores },
    },
    llm: { provider: PROVIDER, config: { model: llm } },
    disableHistory: true,
  });
  // Before its start asks for it: else it would make one up and write it to a file in the home folder.
  memory.telemetryId = 'cvops';
  return memory;
}

function embeddingsOf(embedder: Embedder): object {
  const embedDocuments = async (texts: string[]): Promise<ArrayLike<number>[]> => {
    const run = currentAdd();
    const nothing = () => texts.map(() => [0]);
    // After the memories come the names in them, which are not kept.
    if (run.hasFailed || run.hasStored) return nothing();
    try {
      return (await embedder.embed(texts)).map((vector) => Array.from(vector));
    } catch (error) {
      run.failed(error);
      return nothing();
    }
  };
  return {
    embedDocuments,
    embedQuery: async (text: string) => currentAdd().vectors.get(text) ?? (await embedDocuments([text]))[0]!,
  };
}
