import type * as Mem0 from 'mem0ai/oss';
import { currentAdd } from './addRun.js';
import type { Embedder } from './embedders/port.js';
import { DIMENSIONS } from './documents.js';
import { NoEntities, type StoreOptions, VespaMemoryStore } from './vectorStore.js';

/** An OpenAI-compatible endpoint that takes the facts out of a text. */
export interface LlmEndpoint {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey: string;
}

/** Ours among Mem0's stores, which are a closed list. */
const PROVIDER = 'cvops-vespa';
type Stores = (collection: string) => VespaMemoryStore;

let library: Promise<typeof Mem0> | undefined;

/**
 * Mem0, loaded at the first use. Its telemetry is read from the environment while it loads, and is on unless told
 * otherwise; its list of stores is a static method, which is asked for ours first.
 */
function loadMem0(): Promise<typeof Mem0> {
  return (library ??= (async () => {
    process.env['MEM0_TELEMETRY'] = 'false';
    const mem0 = await import('mem0ai/oss');
    const { VectorStoreFactory } = mem0;
    const create = VectorStoreFactory.create.bind(VectorStoreFactory);
    VectorStoreFactory.create = (provider: string, config: Mem0.VectorStoreConfig) =>
      provider === PROVIDER
        ? (config['stores'] as Stores)(config.collectionName ?? '')
        : create(provider, config);
    return mem0;
  })());
}

/**
 * Mem0 for one tenant. No history, no file, no network but Vespa, the embedder and, with one, the LLM.
 *
 * @param llm undefined: only `infer: false` works
 */
export async function createMem0(
  store: StoreOptions,
  embedder: Embedder,
  llm: LlmEndpoint | undefined,
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
    // A client is always made, used or not.
    llm: {
      provider: 'openai',
      config: llm ? { apiKey: llm.apiKey, model: llm.model, baseURL: llm.baseUrl } : { apiKey: 'none' },
    },
    disableHistory: true,
  });
  // Before its start asks for it: else it would make one up and write it to a file in the home folder.
  memory.telemetryId = 'cvops';
  return memory;
}

function embeddingsOf(embedder: Embedder): object {
  const embedDocuments = async (texts: string[]) =>
    (await embedder.embed(texts)).map((vector) => Array.from(vector));
  return {
    embedDocuments,
    embedQuery: async (text: string) => currentAdd()?.vectors.get(text) ?? (await embedDocuments([text]))[0]!,
  };
}
