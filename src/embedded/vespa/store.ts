import type { ApplicationModel } from './model.js';

/** A document id taken apart; `text` is the whole `id:ns:type:…:user`. */
export interface DocumentId {
  readonly text: string;
  readonly namespace: string;
  readonly type: string;
  readonly group?: string;
  readonly number?: bigint;
  readonly user: string;
}

/** A stored value: JSON-like, longs as bigint, tensors decoded. */
export type FieldValue =
  | string
  | number
  | bigint
  | boolean
  | TensorValue
  | readonly FieldValue[]
  | ReadonlyMap<string | number | bigint, FieldValue>;

/** Cells of a tensor: dense blocks keyed by the mapped labels joined with `\0` (one block under `''` when all is dense). */
export interface TensorValue {
  readonly tensor: true;
  readonly blocks: ReadonlyMap<string, Float64Array | Float32Array | Int8Array>;
}

export interface StoredDocument {
  readonly id: DocumentId;
  readonly fields: ReadonlyMap<string, FieldValue>;
}

/** What search needs of the document store. */
export interface DocumentStore {
  readonly model: ApplicationModel;
  count(schema: string): number;
  /** Every live document of the schema, in no promised order. */
  documents(schema: string): Iterable<StoredDocument>;
  /** Moves with every write of the schema, so that an index built from it can tell that it is stale. */
  version(schema: string): number;
  /** Ids written (put, update, removed) since `version`, or undefined when that is too long ago: then read all. */
  changesSince(schema: string, version: number): readonly string[] | undefined;
  get(schema: string, id: string): StoredDocument | undefined;
  /** The same two without tensors: what the real one has in memory as attributes and indexes. */
  plainDocuments(schema: string): Iterable<StoredDocument>;
  getPlain(schema: string, id: string): StoredDocument | undefined;
}
