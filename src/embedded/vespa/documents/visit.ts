import type { ApplicationModel } from '../model.js';
import { SelectionError, parseSelection } from '../selection/selection.js';
import type { DocumentId } from '../store.js';
import type { TensorFormat } from '../tensors/codec.js';
import { type DiskStore, bucketHash } from './diskStore.js';
import { parseDocumentId } from './documentId.js';
import type { DocumentPath } from './path.js';
import { writeDocumentFields } from './write.js';

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

/** One step of a visit; `token` continues after it, and goes out when the bucket is done. */
export type Visited =
  | {
      readonly kind: 'put';
      readonly id: string;
      readonly fields: string;
      readonly token: string;
      readonly schema: string;
    }
  | { readonly kind: 'remove'; readonly id: string; readonly token: string };

/** Buckets a visit is cut into: its progress, and where a continuation may begin. */
const BUCKET_DIGITS = 4;

export class VisitError extends Error {}

/**
 * Documents in bucket order, from a continuation on. Without snapshot: what is written meanwhile may or may not come, as
 * with the real one.
 *
 * @throws VisitError
 */
export function visit(
  store: DiskStore,
  request: VisitRequest,
): { readonly items: Iterable<Visited>; readonly percent: (token: string) => number } {
  const selected = selector(request);
  const after = request.continuation === undefined ? undefined : readToken(request.continuation, request);
  const types = typesOf(store.model, request);
  function* items(): Generator<Visited> {
    if (request.nothing) return;
    for (const entry of merged(store, types)) {
      const key = `${entry.hash}${entry.id}`;
      if (after !== undefined && key <= after) continue;
      if (
        request.slices > 1 &&
        Number.parseInt(entry.hash.slice(0, BUCKET_DIGITS), 16) % request.slices !== request.sliceId
      )
        continue;
      const position = store.position(entry.type, entry.id);
      if (
        position === undefined ||
        position.at.timestamp < request.fromTimestamp ||
        position.at.timestamp >= request.toTimestamp
      )
        continue;
      const id = parseDocumentId(entry.id);
      const token = makeToken(key, request);
      if (position.removed) {
        if (request.includeRemoves && inPath(id, request.path)) yield { kind: 'remove', id: entry.id, token };
        continue;
      }
      if (
        !inPath(id, request.path) ||
        !selected(id, () => store.get(entry.type, entry.id)?.fields ?? new Map())
      )
        continue;
      const fields = store.read(entry.type, entry.id);
      if (fields === undefined) continue;
      const schema = store.model.schemas.get(entry.type)!;
      yield {
        kind: 'put',
        id: entry.id,
        fields: writeDocumentFields(schema, fields, request.fieldSet, request.format),
        token,
        schema: entry.type,
      };
    }
  }
  return {
    items: items(),
    percent: (token) =>
      (Number.parseInt(readToken(token, request).slice(0, BUCKET_DIGITS), 16) / 16 ** BUCKET_DIGITS) * 100,
  };
}

function selector({
  selection,
}: VisitRequest): (
  id: DocumentId,
  fields: () => ReturnType<Parameters<ReturnType<typeof parseSelection>>[0]['fields']>,
) => boolean {
  try {
    const test = parseSelection(selection);
    return (id, fields) => test({ id, fields });
  } catch (error) {
    if (error instanceof SelectionError) throw new VisitError(error.message);
    throw error;
  }
}

function typesOf(model: ApplicationModel, { path, selection }: VisitRequest): string[] {
  if (path.type !== undefined) return [path.type];
  // A selection of one type alone, the usual case of a backup, need not walk the others.
  return model.schemas.has(selection.trim()) ? [selection.trim()] : [...model.schemas.keys()];
}

function inPath(id: DocumentId, path: DocumentPath): boolean {
  if (path.namespace !== undefined && id.namespace !== path.namespace) return false;
  if (path.group !== undefined && id.group !== path.group) return false;
  return path.number === undefined || id.number === path.number;
}

function* merged(
  store: DiskStore,
  types: readonly string[],
): Generator<{ id: string; hash: string; type: string }> {
  if (types.length === 1) {
    for (const id of store.visitOrder(types[0]!)) yield { id, hash: bucketHash(id), type: types[0]! };
    return;
  }
  const all = types.flatMap((type) =>
    store.visitOrder(type).map((id) => ({ id, hash: bucketHash(id), type })),
  );
  yield* all.toSorted((a, b) => (a.hash + a.id < b.hash + b.id ? -1 : 1));
}

/** Opaque to clients; names the selection it belongs to, as using it with another one would skip documents. */
function makeToken(key: string, request: VisitRequest): string {
  return Buffer.from(JSON.stringify({ key, of: scopeOf(request) })).toString('base64url');
}

function readToken(token: string, request: VisitRequest): string {
  let read: { key?: unknown; of?: unknown };
  try {
    read = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as typeof read;
  } catch {
    throw new VisitError(`Failed parsing '${token}': BufferUnderflowException`);
  }
  if (typeof read.key !== 'string' || read.of !== scopeOf(request))
    throw new VisitError('The continuation belongs to another visit');
  return read.key;
}

function scopeOf({ path, slices, sliceId }: VisitRequest): string {
  return `${path.namespace ?? ''}/${path.type ?? ''}/${path.group ?? ''}/${path.number ?? ''} ${slices}/${sliceId}`;
}
