import type { Memory } from 'mem0ai/oss';
import type { ConfigServer } from '../vespa/configServer.js';
import type { DocumentClient } from '../vespa/documents.js';
import { readPackage } from '../vespa/activePackage.js';
import type { Embedder } from './embedders/port.js';
import { type LlmEndpoint, factsLlm } from './facts.js';
import { createMem0 } from './mem0.js';
import { RunningCalls } from './runningCalls.js';
import type { TenantLife, TenantMemory } from './tenantMemory.js';
import { VespaTenantMemory } from './vespaTenantMemory.js';

/** Of some 100 KB each, clients of an LLM among it. */
const MOST_TENANTS = 100;

/**
 * The memories of all tenants that a process serves: one embedder for all, one Mem0 for each of those used last. What a
 * tenant's memory is made of is its life, schema and LLM; changed, it is another memory.
 */
export class TenantMemories {
  private readonly mem0s = new Map<string, Promise<Memory>>();
  private readonly calls = new RunningCalls();
  private cluster: Promise<string> | undefined;

  constructor(
    private readonly options: {
      readonly documents: DocumentClient;
      readonly configServer: ConfigServer;
      /** Closed by {@link close}. */
      readonly embedder: Embedder;
      readonly mostTenants?: number;
      /** Private places that a tenant's LLM may be at; as the URL guard's. */
      readonly allowedPrivate?: readonly string[];
    },
  ) {}

  /** Id of the model that embeds here. */
  get embedder(): string {
    return this.options.embedder.id;
  }

  /** @param llm of the tenant's configuration; without one texts are stored verbatim only */
  open(life: TenantLife, llm?: LlmEndpoint): TenantMemory {
    const { documents, configServer, embedder } = this.options;
    return new VespaTenantMemory({
      ...{ documents, life, embedder, calls: this.calls, infers: llm !== undefined },
      mem0: () => this.mem0(life, llm),
      cluster: () =>
        (this.cluster ??= readPackage(configServer).then(
          ({ contentCluster }) => contentCluster,
          (error: unknown) => {
            this.cluster = undefined;
            throw error;
          },
        )),
    });
  }

  /** Waits for the calls that run; not for an export, whose reader may never take the rest. */
  async close(): Promise<void> {
    await this.calls.end();
    this.mem0s.clear();
    await this.options.embedder.close();
  }

  private mem0(life: TenantLife, llm: LlmEndpoint | undefined): Promise<Memory> {
    const key = JSON.stringify([life.tenant, life.incarnation, life.schema, llm]);
    const { documents, embedder, mostTenants = MOST_TENANTS, allowedPrivate = [] } = this.options;
    const known =
      this.mem0s.get(key) ??
      createMem0({ documents, life, embedder: embedder.id }, embedder, factsLlm(llm, allowedPrivate));
    // The last of the map is the one used last.
    this.mem0s.delete(key);
    this.mem0s.set(key, known);
    known.catch(() => this.mem0s.delete(key));
    for (const oldest of this.mem0s.keys()) {
      if (this.mem0s.size <= mostTenants) break;
      this.mem0s.delete(oldest);
    }
    return known;
  }
}
