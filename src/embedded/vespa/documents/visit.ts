import { createHash } from 'node:crypto';
import type { ApplicationModel } from '../model.js';
import { SelectionError, parseSelection } from '../selection/selection.js';
import type { FieldValue } from '../store.js';
import type { TensorFormat } from '../tensors/codec.js';
import { BUCKETS, bucketOfAll } from './buckets.js';
import type { DiskStore } from './diskStore.js';
import { parseDocumentId } from './documentId.js';
import { parseStored } from './losslessJson.js';
import type { DocumentPath } from './path.js';
import { forEachField } from './storedJson.js';
import type { Entry } from './schemaDocuments.js';
import { type StoredFields, toFieldValues } from './values.js';

/** What a visit was asked for. */
export interface VisitRequest {
  readonly path: DocumentPath;
  readonly selection: string;
  readonly fieldSet: string | undefined;
  readonly slices: number;
  readonly sliceId: number;
  readonly continuation: string | undefined;
  readonly fromTimestamp: number;
  readonly toTimestamp: number;
  readonly includeRemoves: boolean;
  readonly format: TensorFormat;
  /** A bucket space that holds no documents. */
  readonly nothing: boolean;
}

export interface Visited {
  readonly type: string;
  readonly entry: Entry;
}

export class VisitError extends Error {}

/**
 * The documents of a store, bucket by bucket. Without snapshot: what is written meanwhile may or may not come, as with the
 * real one.
 */
export class Visit {
  /** The first bucket, of all slices', that is not finished. */
  private next: number;
  private readonly types: readonly string[];
  private readonly isSelected: (type: string, entry: Entry) => boolean;
  private readonly scope: string;

  /** @throws VisitError */
  constructor(
    private readonly store: DiskStore,
    private readonly request: VisitRequest,
  ) {
    this.scope = scopeOf(request);
    this.next = request.continuation === undefined ? 0 : readToken(request.continuation, this.scope);
    this.isSelected = selector(store, request);
    this.types = request.nothing ? [] : typesOf(store.model, request);
  }

  /** The bucket to visit next, which may have no documents; undefined when none is left. */
  get nextBucket(): number | undefined {
    const { slices, sliceId, path } = this.request;
    const bucket = this.next + ((sliceId - (this.next % slices) + slices) % slices);
    const only = bucketOfAll(path);
    if (only !== undefined) return only >= this.next && only % slices === sliceId ? only : undefined;
    return bucket < BUCKETS ? bucket : undefined;
  }

  finish(bucket: number): void {
    this.next = bucket + 1;
  }

  /** Opaque to clients: where to go on behind what is finished; undefined when all is. */
  get continuation(): string | undefined {
    return this.nextBucket === undefined ? undefined : makeToken(this.next, this.scope);
  }

  get percentFinished(): number {
    return this.nextBucket === undefined ? 100 : (this.next / BUCKETS) * 100;
  }

  /** Of a bucket, what is there and is selected; undefined for each that was looked at and is not. */
  *documents(bucket: number): Generator<Visited | undefined> {
    const { fromTimestamp, toTimestamp, includeRemoves, path } = this.request;
    for (const type of this.types) {
      const entries = this.store.entriesOf(type, bucket);
      const removesFrom = includeRemoves && entries.length > 0 ? this.store.removesFrom(type) : Infinity;
      for (const entry of entries) {
        const { id, timestamp, removed } = entry;
        const wanted =
          timestamp >= fromTimestamp &&
          timestamp < toTimestamp &&
          (removed ? timestamp >= removesFrom && inPath(id, path) : this.isSelected(type, entry)) &&
          // It may have gone with an application that was deployed meanwhile.
          this.store.model.schemas.has(type);
        yield wanted ? { type, entry } : undefined;
      }
    }
  }
}

function selector(
  store: DiskStore,
  { selection, path }: VisitRequest,
): (type: string, entry: Entry) => boolean {
  let test: ReturnType<typeof parseSelection>;
  try {
    test = parseSelection(selection);
  } catch (error) {
    if (error instanceof SelectionError) throw new VisitError(error.message);
    throw error;
  }
  const wanted = selection.trim();
  // All of a type, the usual case of a backup, needs no look at ids or fields.
  if (path.namespace === undefined && store.model.schemas.has(wanted)) return (type) => type === wanted;
  return (type, entry) => {
    const id = parseDocumentId(entry.id);
    return inPath(entry.id, path) && test({ id, fields: () => selectable(store, type, entry) });
  };
}

/** What a selection can look at: it has nothing to say of tensors, which are most of a document. */
function selectable(store: DiskStore, type: string, entry: Entry): ReadonlyMap<string, FieldValue> {
  const schema = store.model.schemas.get(type)!;
  const stored = store.readBytes(type, entry);
  const fields: Record<string, unknown> = {};
  forEachField(stored, entry.length, (nameAt, valueAt, end) => {
    const name = stored.toString('utf8', nameAt + 1, valueAt - 2);
    const kind = schema.fields.get(name)?.type.kind;
    if (kind !== undefined && kind !== 'tensor')
      fields[name] = parseStored(stored.toString('utf8', valueAt, end));
  });
  return toFieldValues(schema, fields as StoredFields);
}

function typesOf(model: ApplicationModel, { path, selection }: VisitRequest): string[] {
  if (path.type !== undefined) return [path.type];
  // A selection of one type alone need not walk the others.
  return model.schemas.has(selection.trim()) ? [selection.trim()] : [...model.schemas.keys()];
}

function inPath(text: string, path: DocumentPath): boolean {
  if (path.namespace === undefined) return true;
  const id = parseDocumentId(text);
  if (id.namespace !== path.namespace) return false;
  if (path.group !== undefined && id.group !== path.group) return false;
  // A path's is unsigned, an id's signed.
  return path.number === undefined || id.number === BigInt.asIntN(64, path.number);
}

function makeToken(bucket: number, scope: string): string {
  return Buffer.from(`${bucket}.${scope}`).toString('base64url');
}

function readToken(token: string, scope: string): number {
  const [, bucket, of] =
    /^(\d{1,4})\.([\w-]+)$/.exec(Buffer.from(token, 'base64url').toString('latin1')) ?? [];
  if (bucket === undefined) throw new VisitError(`Failed parsing '${token}': BufferUnderflowException`);
  if (of !== scope || Number(bucket) >= BUCKETS)
    throw new VisitError('The continuation belongs to another visit');
  return Number(bucket);
}

/** A token names the visit it belongs to, as using it with another one would skip documents. */
function scopeOf({ path, selection, nothing, slices, sliceId }: VisitRequest): string {
  const { namespace, type, group } = path;
  const what = [namespace, type, group, String(path.number), selection, nothing, slices, sliceId];
  return createHash('md5').update(JSON.stringify(what)).digest('base64url').slice(0, 8);
}
