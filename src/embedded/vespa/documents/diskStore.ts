import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { ApplicationModel, Schema } from '../model.js';
import type { DocumentStore, StoredDocument } from '../store.js';
import { Buckets } from './buckets.js';
import { parseDocumentId } from './documentId.js';
import { DocumentLog, PUT, type Position, REMOVE } from './log.js';
import { parseStored, printJson } from './losslessJson.js';
import { type Stored, type StoredFields, toFieldValues } from './values.js';

/** Writes kept by version for indexes that follow; older ones must read all again. */
const KEPT_CHANGES = 100_000;
const CACHE_BYTES = 256 << 20;
const COMPACT_FROM = 64 << 20;

export interface DiskStoreOptions {
  /** Wait for the disk at each write. */
  readonly fsync: boolean;
  /** How long removes are remembered, in seconds. */
  readonly pruneRemovesAfter: number;
}

/** Vespa's default of `removed-db/prune/age`: two weeks. */
export const PRUNE_REMOVES_AFTER = 14 * 24 * 3600;

/** The documents of one schema: a log on disk, an index of positions in memory. */
class SchemaDocuments {
  readonly live = new Map<string, Position>();
  readonly removed = new Map<string, Position>();
  readonly log: DocumentLog;
  version = 0;
  /** Of live documents and of removes. */
  readonly buckets = new Buckets();
  private readonly changes: string[] = [];
  /** Of the last record of each id, removes included. */
  private neededBytes = 0;

  constructor(
    file: string,
    private readonly options: DiskStoreOptions,
  ) {
    this.log = new DocumentLog(file, options.fsync, (operation, id, at) => this.apply(operation, id, at));
    this.changes.length = 0;
    this.pruneRemoves();
  }

  write(operation: number, id: string, body: string, timestamp: number): void {
    this.apply(operation, id, this.log.append(operation, id, body, timestamp));
    this.pruneRemoves();
    if (this.log.size > COMPACT_FROM && this.neededBytes < this.log.size / 2) this.compact();
  }

  changesSince(version: number): readonly string[] | undefined {
    const count = this.version - version;
    return count > this.changes.length
      ? undefined
      : [...new Set(this.changes.slice(this.changes.length - count))];
  }

  /** Forgets removes that are old enough; their records go with the next compaction. */
  pruneRemoves(): void {
    const before = (Date.now() - this.options.pruneRemovesAfter * 1000) * 1000;
    // The oldest come first: a remove is put behind all others.
    for (const [id, at] of this.removed) {
      if (at.timestamp >= before) return;
      this.removed.delete(id);
      this.buckets.remove(id);
      this.neededBytes -= recordSize(id, at);
    }
  }

  private apply(operation: number, id: string, at: Position): void {
    const before = this.live.get(id) ?? this.removed.get(id);
    if (before) this.neededBytes -= recordSize(id, before);
    else this.buckets.add(id);
    this.neededBytes += recordSize(id, at);
    if (operation === PUT) {
      this.removed.delete(id);
      this.live.set(id, at);
    } else {
      this.live.delete(id);
      this.removed.set(id, at);
    }
    this.version++;
    this.changes.push(id);
    if (this.changes.length > 2 * KEPT_CHANGES) this.changes.splice(0, KEPT_CHANGES);
  }

  private compact(): void {
    const records = [
      ...[...this.live].map(([id, at]) => ({ operation: PUT, id, at })),
      ...[...this.removed].map(([id, at]) => ({ operation: REMOVE, id, at })),
    ];
    this.log.compact(records, (id, at) => (this.live.has(id) ? this.live : this.removed).set(id, at));
  }
}

/** About what a record takes in the log; ids are nearly always ASCII. */
function recordSize(id: string, at: Position): number {
  return at.length + id.length + 19;
}

/** All documents of an application on disk, one log per schema; a schema that goes takes its documents along. */
export class DiskStore implements DocumentStore {
  private readonly schemas = new Map<string, SchemaDocuments>();
  private readonly cache = new Map<string, { document: StoredDocument; bytes: number }>();
  private cached = 0;
  private lastTimestamp = 0;
  private scratch = Buffer.alloc(0);
  model: ApplicationModel;

  constructor(
    private readonly folder: string,
    model: ApplicationModel,
    private readonly options: Partial<DiskStoreOptions> = {},
  ) {
    mkdirSync(folder, { recursive: true });
    this.model = model;
    this.setModel(model);
  }

  setModel(model: ApplicationModel): void {
    this.model = model;
    for (const [name, documents] of this.schemas) {
      if (model.schemas.has(name)) continue;
      documents.log.remove();
      this.schemas.delete(name);
    }
    for (const file of readdirSync(this.folder)) {
      if (!model.schemas.has(file.replace(/\.log$/, '')))
        rmSync(path.join(this.folder, file), { recursive: true, force: true });
    }
    for (const name of model.schemas.keys()) {
      if (!this.schemas.has(name))
        this.schemas.set(
          name,
          new SchemaDocuments(path.join(this.folder, `${name}.log`), {
            fsync: false,
            pruneRemovesAfter: PRUNE_REMOVES_AFTER,
            ...this.options,
          }),
        );
    }
    this.cache.clear();
    this.cached = 0;
  }

  put(schema: string, id: string, fields: StoredFields): void {
    const documents = this.of(schema);
    documents.write(PUT, id, printJson(this.inOrder(schema, fields)), this.timestamp());
    this.forget(id);
  }

  /** @returns whether it was there */
  remove(schema: string, id: string): boolean {
    const documents = this.of(schema);
    if (!documents.live.has(id)) return false;
    documents.write(REMOVE, id, '', this.timestamp());
    this.forget(id);
    return true;
  }

  read(schema: string, id: string): StoredFields | undefined {
    const documents = this.of(schema);
    const at = documents.live.get(id);
    return at === undefined ? undefined : (parseStored(documents.log.read(at)) as StoredFields);
  }

  /** A document's bytes as `printJson` wrote them, at the front of a buffer that the next call writes over. */
  readBytes(schema: string, id: string): { readonly bytes: Buffer; readonly length: number } | undefined {
    const documents = this.of(schema);
    const at = documents.live.get(id);
    if (at === undefined) return undefined;
    if (this.scratch.length < at.length) this.scratch = Buffer.allocUnsafeSlow(at.length * 2);
    documents.log.readInto(this.scratch, at);
    return { bytes: this.scratch, length: at.length };
  }

  /** When a document was last written, in microseconds; of a removed one, when it was removed. */
  lastWrite(
    schema: string,
    id: string,
  ): { readonly timestamp: number; readonly removed: boolean } | undefined {
    const { live, removed } = this.of(schema);
    const at = live.get(id) ?? removed.get(id);
    return at && { timestamp: at.timestamp, removed: !live.has(id) };
  }

  /** Documents and removes of a bucket, as they are now; none of a schema that has gone. */
  idsOf(schema: string, bucket: number): readonly string[] {
    return this.schemas.get(schema)?.buckets.idsOf(bucket) ?? [];
  }

  pruneRemoves(): void {
    for (const documents of this.schemas.values()) documents.pruneRemoves();
  }

  count(schema: string): number {
    return this.of(schema).live.size;
  }

  version(schema: string): number {
    return this.of(schema).version;
  }

  changesSince(schema: string, version: number): readonly string[] | undefined {
    return this.of(schema).changesSince(version);
  }

  *documents(schema: string): Iterable<StoredDocument> {
    for (const id of this.of(schema).live.keys()) {
      const document = this.get(schema, id);
      if (document) yield document;
    }
  }

  get(schema: string, id: string): StoredDocument | undefined {
    const known = this.cache.get(id);
    if (known) return known.document;
    const fields = this.read(schema, id);
    if (fields === undefined) return undefined;
    const document = { id: parseDocumentId(id), fields: toFieldValues(this.schemaOf(schema), fields) };
    const bytes = this.of(schema).live.get(id)!.length * 2 + 500;
    this.cache.set(id, { document, bytes });
    this.cached += bytes;
    for (const [oldest, entry] of this.cache) {
      if (this.cached <= CACHE_BYTES) break;
      this.cache.delete(oldest);
      this.cached -= entry.bytes;
    }
    return document;
  }

  close(): void {
    for (const { log } of this.schemas.values()) log.close();
  }

  private of(schema: string): SchemaDocuments {
    const documents = this.schemas.get(schema);
    if (documents === undefined) throw new Error(`no schema ${schema}`);
    return documents;
  }

  private schemaOf(name: string): Schema {
    return this.model.schemas.get(name)!;
  }

  /** In the schema's order, which visits copy. */
  private inOrder(schema: string, fields: StoredFields): StoredFields {
    const ordered: Record<string, Stored> = {};
    for (const name of this.schemaOf(schema).fields.keys()) {
      const value = fields[name];
      if (value !== undefined) ordered[name] = value;
    }
    return { ...ordered, ...fields };
  }

  private forget(id: string): void {
    this.cached -= this.cache.get(id)?.bytes ?? 0;
    this.cache.delete(id);
  }

  /** Microseconds, each later than the one before. */
  private timestamp(): number {
    this.lastTimestamp = Math.max(this.lastTimestamp + 1, Date.now() * 1000);
    return this.lastTimestamp;
  }
}
