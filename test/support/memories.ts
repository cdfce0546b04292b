import { randomUUID } from 'node:crypto';
import { type Incarnation, parseTenantId } from '../../src/domain/ids.js';
import type { Embedder } from '../../src/memory/embedders/port.js';
import { TenantMemories } from '../../src/memory/tenantMemories.js';
import type { TenantLife } from '../../src/memory/tenantMemory.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { EmulatedVespa } from './emulatedVespa.js';

/** Words in buckets: quick, and alike texts are near. Counts what it was asked. */
export class WordEmbedder implements Embedder {
  readonly id: string = 'words@1';
  texts = 0;
  /** Thrown at the next call. */
  failing: Error | undefined;

  embed(texts: readonly string[]): Promise<Float32Array[]> {
    const { failing } = this;
    this.failing = undefined;
    if (failing) return Promise.reject(failing);
    this.texts += texts.length;
    return Promise.resolve(texts.map(vectorOf));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(512);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]) {
    let hash = 7;
    for (const char of word) hash = (hash * 31 + char.codePointAt(0)!) >>> 0;
    vector[hash % 512]! += 1;
  }
  return vector;
}

/** Some tenants' memory schemas on an emulator in the test's own process. */
export class MemoryWorld<E extends Embedder = WordEmbedder> {
  private constructor(
    readonly vespa: EmulatedVespa,
    readonly embedder: E,
    readonly memories: TenantMemories,
    private readonly lives: ReadonlyMap<string, TenantLife>,
  ) {}

  static start(...tenants: readonly string[]): Promise<MemoryWorld> {
    return MemoryWorld.with(new WordEmbedder(), ...tenants);
  }

  static async with<E extends Embedder>(embedder: E, ...tenants: readonly string[]): Promise<MemoryWorld<E>> {
    const lives = new Map(
      tenants.map((tenant) => {
        const schema = `agent_memories_${tenant}`;
        return [tenant, { tenant: parseTenantId(tenant), incarnation: randomUUID() as Incarnation, schema }];
      }),
    );
    const schemas = [...lives.values()].map(({ schema }): [string, string] => [
      schema,
      generateSd(schema, loadSchema('agent_memories')),
    ]);
    const vespa = await EmulatedVespa.start(Object.fromEntries(schemas));
    const { documents, configServer } = vespa;
    return new MemoryWorld(vespa, embedder, new TenantMemories({ documents, configServer, embedder }), lives);
  }

  life(tenant: string): TenantLife {
    return this.lives.get(tenant)!;
  }

  of(tenant: string) {
    return this.memories.open(this.life(tenant));
  }

  async stop(): Promise<void> {
    await this.memories.close();
    await this.vespa.stop();
  }
}
