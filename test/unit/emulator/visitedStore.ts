import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { ApiHandler } from '../../../src/embedded/vespa/api.js';
import { DiskStore } from '../../../src/embedded/vespa/documents/diskStore.js';
import { createDocumentHandler } from '../../../src/embedded/vespa/documents/handler.js';
import type { DiskStoreOptions } from '../../../src/embedded/vespa/documents/schemaDocuments.js';
import type { ApplicationModel, Schema } from '../../../src/embedded/vespa/model.js';
import { parseSd } from '../../../src/embedded/vespa/package/sdParser.js';

const FIELDS = {
  title: 'string',
  l: 'long',
  d: 'double',
  f: 'float',
  b: 'bool',
  strings: 'array<string>',
  doubles: 'array<double>',
  pairs: 'map<string,string>',
  weights: 'weightedset<string>',
  dense: 'tensor<float>(v[3])',
  mixed: 'tensor<bfloat16>(patch{},v[4])',
  sparse: 'tensor<float>(k{})',
};

export function schemaOf(name: string): Schema {
  const fields = Object.entries(FIELDS).map(([f, type]) => `field ${f} type ${type} { indexing: summary }`);
  return parseSd(`schema ${name} { document ${name} { ${fields.join('\n')} } }`, `${name}.sd`);
}

export function modelOf(names: readonly string[]): ApplicationModel {
  return {
    generation: 1,
    containerCluster: 'c',
    contentCluster: 'd',
    schemas: new Map(names.map((name) => [name, schemaOf(name)])),
  };
}

export interface Line {
  readonly put?: string;
  readonly remove?: string;
  readonly fields?: Record<string, unknown>;
  readonly continuation?: { readonly token?: string; readonly percentFinished: number };
  readonly sessionStats?: { readonly documentCount: number };
  readonly message?: { readonly text: string };
}

/** A store in a folder of its own with its document/v1 handler. */
export class VisitedStore {
  store: DiskStore;
  readonly handler: ApiHandler = createDocumentHandler(() => this.store);

  private constructor(
    private readonly folder: string,
    private readonly options: Partial<DiskStoreOptions>,
  ) {
    this.store = this.open();
  }

  static async create(options: Partial<DiskStoreOptions> = {}): Promise<VisitedStore> {
    return new VisitedStore(await mkdtemp(path.join(os.tmpdir(), 'visited-')), options);
  }

  reopen(): void {
    this.store.close();
    this.store = this.open();
  }

  async remove(): Promise<void> {
    this.store.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async request(method: string, url: string, body = '', headers: Record<string, string> = {}) {
    const [at, query = ''] = url.split('?');
    return this.handler({
      method,
      path: at!,
      query,
      headers,
      host: 'localhost:1',
      body: async () => Buffer.from(body),
    });
  }

  async text(method: string, url: string, body = '', headers: Record<string, string> = {}): Promise<string> {
    const answer = await this.request(method, url, body, headers);
    if (!(answer.body instanceof Readable)) return (answer.body ?? '').toString();
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  /** The lines of a streamed visit of everything of `aa`. */
  async lines(query = ''): Promise<Line[]> {
    const url = `/document/v1/?cluster=d&selection=aa&stream=true&format.tensors=hex${query}`;
    const text = await this.text('GET', url, '', { accept: 'application/jsonl' });
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  }

  /** @returns their ids */
  put(count: number, fields: object = {}): string[] {
    return Array.from({ length: count }, (_, n) => {
      const id = `id:ns:aa::${n}`;
      this.store.put('aa', id, { title: `number ${n}`, l: n, ...fields });
      return id;
    });
  }

  private open(): DiskStore {
    return new DiskStore(path.join(this.folder, 'documents'), modelOf(['aa', 'bb']), this.options);
  }
}

export const idsOf = (lines: readonly Line[]): string[] =>
  lines.flatMap((line) => (line.put === undefined ? [] : [line.put]));
