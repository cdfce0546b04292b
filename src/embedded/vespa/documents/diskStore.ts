import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { ApplicationModel, Schema } from '../model.js';
import type { DocumentStore, StoredDocument } from '../store.js';
import { parseDocumentId } from './documentId.js';
import { PUT, REMOVE } from './log.js';
import { parseStored, printJson } from './losslessJson.js';
import {
  type DiskStoreOptions,
  type Entry,
  PRUNE_REMOVES_AFTER,
  SchemaDocuments,
} from './schemaDocuments.js';
import { type StoredFields, toFieldValues } from './values.js';

const CACHE_BYTES = 256 << 20;
/** All documents of an application on disk, one log per schema; a schema that goes takes its documents along. */
export class DiskStore implements DocumentStore {
  private readonly schemas = new Map<string, SchemaDocuments>();
  private readonly cache = new Map<string, { document: StoredDocument; bytes: number }>();
  /** What of a document is no tensor. It is kept in memory: a query by an attribute reads no file. */
  private readonly plain = new WeakMap<SchemaDocuments, Map<string, StoredDocument>>();
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
    // Fields may have other types now.
    for (const documents of this.schemas.values()) this.plain.delete(documents);
  }

  put(schema: string, id: string, fields: StoredFields): void {
    const documents = this.of(schema);
    documents.write(PUT, id, printJson(this.inOrder(schema, fields)), this.timestamp());
    this.forget(id);
    this.plainOf(documents).set(id, this.withoutTensors(schema, id, fields));
  }

  /** @returns whether it was there */
  remove(schema: string, id: string): boolean {
    const documents = this.of(schema);
    if (documents.find(id) === undefined) return false;
    documents.write(REMOVE, id, '', this.timestamp());
    this.forget(id);
    this.plainOf(documents).delete(id);
    return true;
  }

  read(schema: string, id: string): StoredFields | undefined {
    const documents = this.of(schema);
    const at = documents.find(id);
    return at === undefined ? undefined : (parseStored(documents.log.read(at)) as StoredFields);
  }

  find(schema: string, id: string): Entry | undefined {
    return this.of(schema).find(id);
  }

  /** The bytes of a live document as `printJson` wrote them, at the front of a buffer that the next call writes over. */
  readBytes(schema: string, entry: Entry): Buffer {
    if (this.scratch.length < entry.length) this.scratch = Buffer.allocUnsafeSlow(entry.length * 2);
    this.of(schema).log.readInto(this.scratch, entry);
    return this.scratch;
  }

  /** Documents and removes of a bucket, as they are now; none of a schema that has gone. */
  entriesOf(schema: string, bucket: number): readonly Entry[] {
    return this.schemas.get(schema)?.buckets.of(bucket) ?? [];
  }

  /** Removes before it are as good as forgotten; microseconds. */
  removesFrom(schema: string): number {
    return this.of(schema).removesFrom;
  }

  count(schema: string): number {
    return this.of(schema).count;
  }

  version(schema: string): number {
    return this.of(schema).version;
  }

  changesSince(schema: string, version: number): readonly string[] | undefined {
    return this.of(schema).changesSince(version);
  }

  *documents(schema: string): Iterable<StoredDocument> {
    for (const { id } of this.of(schema).live()) {
      const document = this.get(schema, id);
      if (document) yield document;
    }
  }

  *plainDocuments(schema: string): Iterable<StoredDocument> {
    for (const { id } of this.of(schema).live()) {
      const document = this.getPlain(schema, id);
      if (document) yield document;
    }
  }

  getPlain(schema: string, id: string): StoredDocument | undefined {
    const plain = this.plainOf(this.of(schema));
    const known = plain.get(id);
    if (known) return known;
    const fields = this.read(schema, id);
    if (fields === undefined) return undefined;
    const document = this.withoutTensors(schema, id, fields);
    plain.set(id, document);
    return document;
  }

  get(schema: string, id: string): StoredDocument | undefined {
    const known = this.cache.get(id);
    if (known) return known.document;
    const fields = this.read(schema, id);
    if (fields === undefined) return undefined;
    const document = { id: parseDocumentId(id), fields: toFieldValues(this.schemaOf(schema), fields) };
    const bytes = this.of(schema).find(id)!.length * 2 + 500;
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

  private plainOf(documents: SchemaDocuments): Map<string, StoredDocument> {
    let plain = this.plain.get(documents);
    if (plain === undefined) this.plain.set(documents, (plain = new Map<string, StoredDocument>()));
    return plain;
  }

  private withoutTensors(schema: string, id: string, fields: StoredFields): StoredDocument {
    const of = this.schemaOf(schema);
    const kept = Object.entries(fields).filter(([name]) => of.fields.get(name)?.type.kind !== 'tensor');
    return { id: parseDocumentId(id), fields: toFieldValues(of, Object.fromEntries(kept)) };
  }

  /** In the schema's order, which visits copy; nearly always they are. */
  private inOrder(schema: string, fields: StoredFields): StoredFields {
    const names = Object.keys(fields);
    const order = [...this.schemaOf(schema).fields.keys()].filter((name) => Object.hasOwn(fields, name));
    if (order.every((name, i) => name === names[i])) return fields;
    return { ...Object.fromEntries(order.map((name) => [name, fields[name]!])), ...fields };
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
