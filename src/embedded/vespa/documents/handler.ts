import { Readable } from 'node:stream';
import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';
import { BodyTooLarge } from '../http/server.js';
import type { Schema } from '../model.js';
import { SelectionError, parseSelection } from '../selection/selection.js';
import type { DocumentId } from '../store.js';
import { TENSOR_FORMATS, type TensorFormat } from '../tensors/codec.js';
import type { DiskStore } from './diskStore.js';
import { parseJson } from './losslessJson.js';
import { type DocumentPath, JettyRefusal, PathError, parseDocumentPath } from './path.js';
import { OperationQueue, Overloaded } from './queue.js';
import { applyUpdate } from './update.js';
import { type Stored, ValueError, readField, toFieldValues } from './values.js';
import { VisitError, type VisitRequest, visit } from './visit.js';
import { FieldSetError, writeDocumentFields } from './write.js';

/** `maxDocumentOperationRequestSizeMib`. */
const MAX_BODY = 100 << 20;

/** An answer that is an error; `id` is there once the document is known. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string | undefined,
    readonly id?: string,
  ) {
    super(message);
    this.text = message;
  }

  readonly text: string | undefined;
}

/** document/v1 as the real handler answers it, over the store of the application that the container has converged to. */
export function createDocumentHandler(store: () => DiskStore | undefined): ApiHandler {
  const queue = new OperationQueue();
  return async (request) => {
    let path: DocumentPath | undefined;
    try {
      path = parseDocumentPath(request.path);
      const documents = store();
      if (documents === undefined) return { status: 503 };
      return await route(documents, queue, request, path);
    } catch (error) {
      return refuse(path?.raw ?? request.path, error);
    }
  };
}

function refuse(rawPath: string, error: unknown): ApiResponse {
  const pathId = rawPath;
  if (error instanceof Refusal)
    return json(error.status, {
      pathId,
      ...(error.id === undefined ? {} : { id: error.id }),
      ...(error.text === undefined ? {} : { message: error.text }),
    });
  if (error instanceof PathError) return json(error.status, { pathId: error.pathId, message: error.message });
  if (error instanceof JettyRefusal)
    return {
      status: 400,
      headers: { 'content-type': 'text/html;charset=iso-8859-1' },
      body: '<html><body><h2>HTTP ERROR 400</h2></body></html>',
    };
  if (error instanceof Overloaded) return json(429, { pathId, message: error.message });
  if (error instanceof BodyTooLarge)
    return json(413, {
      pathId,
      message: `${error.message} See https://docs.vespa.ai/en/writing/document-v1-api-guide.html#request-size-limit`,
    });
  if (
    error instanceof VisitError ||
    error instanceof FieldSetError ||
    error instanceof ValueError ||
    error instanceof SelectionError
  )
    return json(400, { pathId, message: error.message });
  return json(500, { pathId, message: error instanceof Error ? error.message : String(error) });
}

async function route(
  store: DiskStore,
  queue: OperationQueue,
  request: ApiRequest,
  path: DocumentPath,
): Promise<ApiResponse> {
  const { method } = request;
  const query = new URLSearchParams(request.query);
  const allowed = path.id
    ? ['GET', 'POST', 'PUT', 'DELETE']
    : path.type === undefined
      ? ['GET', 'POST', 'DELETE']
      : ['GET', 'POST', 'PUT', 'DELETE'];
  if (method === 'OPTIONS') return { status: 204, headers: { allow: allowed.join(',') } };
  if (!allowed.includes(method))
    throw new Refusal(
      405,
      `'${method}' not allowed at '${path.raw}'. Allowed methods are: ${allowed.join(', ')}`,
    );
  for (const [key, value] of query) {
    if (value === '') throw new Refusal(400, `Expected non-empty value for request property '${key}'`);
  }
  checkCluster(store, query);
  if (query.has('timeout')) seconds(query.get('timeout')!);
  number(query, 'tracelevel', 0, 0);
  if (path.id === undefined) {
    if (method === 'GET') return visitAnswer(store, request, path, query);
    return massOperation(store, request, path, query);
  }
  if (method === 'GET') return getDocument(store, path.id, path, query);
  const dryRun = flag(query, 'dryRun');
  if (dryRun === true) return json(200, { pathId: path.raw, id: path.id.text });
  const body = method === 'DELETE' ? undefined : await request.body(MAX_BODY);
  const { id } = path;
  return queue.run(() => writeDocument(store, method, id, path, query, body));
}

function getDocument(
  store: DiskStore,
  id: DocumentId,
  path: DocumentPath,
  query: URLSearchParams,
): ApiResponse {
  if (query.has('dryRun')) throw new Refusal(400, `May not specify 'dryRun' at '${path.raw}'`);
  const format = tensorFormat(query);
  const schema = store.model.schemas.get(id.type);
  const fields = schema && store.read(id.type, id.text);
  if (schema === undefined || fields === undefined) return json(404, { pathId: path.raw, id: id.text });
  const text = writeDocumentFields(schema, fields, fieldSetOf(store, query), format);
  return jsonText(
    200,
    `{"pathId":${JSON.stringify(path.raw)},"id":${JSON.stringify(id.text)},"fields":${text}}`,
  );
}

function writeDocument(
  store: DiskStore,
  method: string,
  id: DocumentId,
  path: DocumentPath,
  query: URLSearchParams,
  body: Buffer | undefined,
): ApiResponse {
  const parsed = body === undefined ? {} : parseBody(body, id);
  const schema = store.model.schemas.get(id.type);
  const refusal = (status: number, message: string) =>
    new Refusal(status, message, status === 412 ? id.text : undefined);
  // Nothing to remove of a type that is not there is success as well.
  if (schema === undefined && method === 'DELETE') return json(200, { pathId: path.raw, id: id.text });
  if (schema === undefined) throw refusal(400, `Document type ${id.type} does not exist`);
  const condition =
    query.get('condition') ?? (typeof parsed['condition'] === 'string' ? parsed['condition'] : undefined);
  if (
    parsed['condition'] !== undefined &&
    parsed['condition'] !== null &&
    typeof parsed['condition'] !== 'string'
  ) {
    throw refusal(400, `expected string value for condition, got ${tokenOf(parsed['condition'])}`);
  }
  if (parsed['create'] !== undefined && typeof parsed['create'] !== 'boolean') {
    throw refusal(
      400,
      `failed parsing document: Current token (${tokenOf(parsed['create'])}) not of boolean type`,
    );
  }
  // In the query, what is not "true" is false.
  const create = query.has('create') ? query.get('create') === 'true' : parsed['create'] === true;
  const current = store.read(id.type, id.text);
  if (method !== 'DELETE' && parsed['fields'] === undefined) {
    throw refusal(400, 'document is missing the required "fields" field');
  }
  if (
    method !== 'DELETE' &&
    (typeof parsed['fields'] !== 'object' || parsed['fields'] === null || Array.isArray(parsed['fields']))
  ) {
    throw refusal(400, `expected start of JSON object, but got ${tokenOf(parsed['fields'])}`);
  }
  const fields = (parsed['fields'] ?? {}) as Record<string, unknown>;
  const next = method === 'POST' ? readFields(schema, id, fields) : undefined;
  if (method === 'PUT') validateUpdate(schema, fields);

  if (condition !== undefined && !(current === undefined && create)) {
    const met =
      current !== undefined &&
      conditionTest(condition, schema, id)({ id, fields: () => toFieldValues(schema, current) });
    if (!met)
      throw refusal(
        412,
        current === undefined ? 'Document does not exist' : 'Condition did not match document',
      );
  }
  if (method === 'POST') store.put(id.type, id.text, next!);
  else if (method === 'DELETE') store.remove(id.type, id.text);
  else if (method === 'PUT' && current === undefined && create && changesTensor(schema, fields)) {
    throw refusal(400, 'No existing tensor to apply update to');
  }
  // An update of what is not there is success, and does nothing.
  else if (current !== undefined || create)
    store.put(id.type, id.text, applyUpdate(schema, current ?? {}, fields));
  return json(200, { pathId: path.raw, id: id.text });
}

function conditionTest(condition: string, schema: Schema, id: DocumentId): ReturnType<typeof parseSelection> {
  const refused = (message: string) => new Refusal(400, message, id.text);
  for (const [, type, field] of condition
    .replace(/"[^"]*"|'[^']*'/g, '')
    .matchAll(/\b([A-Za-z_]\w*)\.([A-Za-z_]\w*)/g)) {
    if (type === schema.name && !schema.fields.has(field!))
      throw refused(`Field '${field}' not found in document type '${schema.name}'`);
  }
  try {
    return parseSelection(condition);
  } catch (error) {
    if (error instanceof SelectionError) throw refused(`Exception parsing document selector '${condition}'`);
    throw error;
  }
}

/** A new document has no tensor to add to, take from or modify. */
function changesTensor(schema: Schema, fields: Record<string, unknown>): boolean {
  return Object.entries(fields).some(
    ([name, operations]) =>
      schema.fields.get(name)?.type.kind === 'tensor' && !Object.hasOwn(operations as object, 'assign'),
  );
}

/** An update is checked whole before the document is looked at, so that a bad one is refused for an absent one too. */
function validateUpdate(schema: Schema, fields: Record<string, unknown>): void {
  applyUpdate(schema, {}, fields);
}

function readFields(schema: Schema, id: DocumentId, fields: Record<string, unknown>): Record<string, Stored> {
  const stored: Record<string, Stored> = {};
  for (const [name, value] of Object.entries(fields)) {
    const field = schema.fields.get(name);
    if (field === undefined)
      throw new Refusal(400, `Field '${name}' is not defined in document type '${schema.name}'`);
    try {
      const read = readField(field, value);
      if (read !== undefined) stored[name] = read;
    } catch (error) {
      if (error instanceof ValueError) throw new Refusal(400, `In document '${id.text}': ${error.message}`);
      throw error;
    }
  }
  return stored;
}

function parseBody(body: Buffer, _id: DocumentId): Record<string, unknown> {
  const text = body.toString('utf8');
  if (text.trim() === '') throw new Refusal(400, 'expected start of root object, got null');
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new Refusal(400, (error as Error).message);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Refusal(400, `expected start of root object, got ${tokenOf(value)}`);
  return value as Record<string, unknown>;
}

function tokenOf(value: unknown): string {
  if (Array.isArray(value)) return 'START_ARRAY';
  if (value === null) return 'VALUE_NULL';
  if (typeof value === 'boolean') return value ? 'VALUE_TRUE' : 'VALUE_FALSE';
  if (typeof value === 'string') return 'VALUE_STRING';
  return Number.isInteger(value) ? 'VALUE_NUMBER_INT' : 'VALUE_NUMBER_FLOAT';
}

function visitAnswer(
  store: DiskStore,
  request: ApiRequest,
  path: DocumentPath,
  query: URLSearchParams,
): ApiResponse {
  if (query.has('dryRun')) throw new Refusal(400, `May not specify 'dryRun' at '${path.raw}'`);
  if (path.type === undefined && !query.has('cluster')) {
    throw new Refusal(
      400,
      "Must set 'cluster' parameter to a valid content cluster id when visiting at a root /document/v1/ level",
    );
  }
  const visitRequest = readVisit(store, path, query);
  const streamed = flag(query, 'stream') === true;
  if (streamed && prefersJsonLines(request.headers['accept'])) return jsonLines(store, visitRequest);
  // Hex is for the lines and for gets; the JSON visit has its own way of writing tensors.
  const { items } = visit(store, {
    ...visitRequest,
    format: visitRequest.format.startsWith('hex') ? 'short' : visitRequest.format,
  });
  const wanted = streamed ? Infinity : number(query, 'wantedDocumentCount', 1, 1);
  const documents: string[] = [];
  let continuation: string | undefined;
  let last: string | undefined;
  for (const item of items) {
    if (documents.length >= wanted) {
      continuation = last;
      break;
    }
    documents.push(
      item.kind === 'put'
        ? `{"id":${JSON.stringify(item.id)},"fields":${item.fields}}`
        : `{"remove":${JSON.stringify(item.id)}}`,
    );
    last = item.token;
  }
  const tail = continuation === undefined ? '' : `,"continuation":${JSON.stringify(continuation)}`;
  return jsonText(
    200,
    `{"pathId":${JSON.stringify(path.raw)},"documents":[${documents.join(',')}],"documentCount":${documents.length}${tail}}`,
  );
}

function jsonLines(store: DiskStore, request: VisitRequest): ApiResponse {
  const { items, percent } = visit(store, request);
  function* lines(): Generator<string> {
    let bucket: string | undefined;
    let token: string | undefined;
    let count = 0;
    for (const item of items) {
      const now = Buffer.from(item.token, 'base64url').toString('utf8').slice(8, 12);
      if (token !== undefined && now !== bucket)
        yield `{"continuation":{"token":"${token}","percentFinished":${percent(token)}}}\n`;
      bucket = now;
      token = item.token;
      count++;
      yield item.kind === 'put'
        ? `{"put":${JSON.stringify(item.id)},"fields":${item.fields}}\n`
        : `{"remove":${JSON.stringify(item.id)}}\n`;
    }
    yield `{"sessionStats":{"documentCount":${count}}}\n`;
    yield '{"continuation":{"percentFinished":100.0}}\n';
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/jsonl; charset=UTF-8' },
    body: Readable.from(lines(), { highWaterMark: 64 }),
  };
}

/** Lines when they are named and nothing is liked better. */
function prefersJsonLines(accept: string | undefined): boolean {
  const wishes = (accept ?? '')
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const [type, ...parameters] = part.split(';').map((p) => p.trim());
      if (!/^[\w*.+-]+\/[\w*.+-]+$/.test(type ?? '')) {
        throw new Refusal(
          400,
          'The request contained an unparseable HTTP Accept header. See: https://docs.vespa.ai/en/reference/api/document-v1.html#accept',
        );
      }
      const quality = parameters.find((p) => p.startsWith('q='));
      return { type, quality: quality === undefined ? 1 : Number(quality.slice(2)) };
    });
  const best = (type: string) => Math.max(0, ...wishes.filter((w) => w.type === type).map((w) => w.quality));
  return best('application/jsonl') > 0 && best('application/jsonl') >= best('application/json');
}

/** Delete, update or copy by selection, at most `timeChunk` seconds a request. */
async function massOperation(
  store: DiskStore,
  request: ApiRequest,
  path: DocumentPath,
  query: URLSearchParams,
): Promise<ApiResponse> {
  for (const name of ['dryRun', 'concurrency', 'fieldSet', 'route', 'wantedDocumentCount']) {
    if (query.has(name)) throw new Refusal(400, `May not specify '${name}' at '${path.raw}'`);
  }
  if (request.method === 'POST' && !query.has('destinationCluster'))
    throw new Refusal(400, `Must specify 'destinationCluster' at '${path.raw}'`);
  const destination = query.get('destinationCluster');
  if (destination !== null && destination !== store.model.contentCluster) {
    throw new Refusal(
      400,
      `Your Vespa deployment has no content cluster '${destination}', only '${store.model.contentCluster}'`,
    );
  }
  for (const name of ['selection', 'cluster']) {
    if (!query.has(name)) throw new Refusal(400, `Must specify '${name}' at '${path.raw}'`);
  }
  if (request.method === 'POST')
    throw new Refusal(400, 'copying between clusters is not supported by the emulator: it has one');
  const update =
    request.method === 'PUT'
      ? ((parseBody(await request.body(MAX_BODY), { text: '' } as DocumentId)['fields'] ?? {}) as Record<
          string,
          unknown
        >)
      : undefined;
  if (update && path.type !== undefined && store.model.schemas.has(path.type))
    applyUpdate(store.model.schemas.get(path.type)!, {}, update);
  const until = Date.now() + seconds(query.get('timeChunk') ?? '60') * 1000;
  const { items } = visit(store, { ...readVisit(store, path, query), fieldSet: '[id]' });
  let count = 0;
  let continuation: string | undefined;
  for (const item of items) {
    if (item.kind !== 'put') continue;
    count++;
    if (update === undefined) store.remove(item.schema, item.id);
    else {
      const current = store.read(item.schema, item.id);
      if (current)
        store.put(item.schema, item.id, applyUpdate(store.model.schemas.get(item.schema)!, current, update));
    }
    if (count % 100 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      if (Date.now() > until) {
        continuation = item.token;
        break;
      }
    }
  }
  return json(200, {
    pathId: path.raw,
    documentCount: count,
    ...(continuation === undefined ? {} : { continuation }),
  });
}

function readVisit(store: DiskStore, path: DocumentPath, query: URLSearchParams): VisitRequest {
  if (path.type !== undefined && !store.model.schemas.has(path.type)) {
    const known = [...store.model.schemas.keys()].map((name) => `'${name}'`).join(', ');
    throw new Refusal(
      400,
      `There is no document type '${path.type}' in cluster '${store.model.contentCluster}', only ${known}`,
    );
  }
  const bucketSpace = query.get('bucketSpace') ?? 'default';
  // Named only at the root: elsewhere the document type decides, and nobody reads the parameter.
  if (path.type === undefined && bucketSpace !== 'default' && bucketSpace !== 'global') {
    throw new Refusal(
      400,
      `Bucket space '${bucketSpace}' is not a known bucket space; expected one of default, global`,
    );
  }
  if (query.has('slices') !== query.has('sliceId'))
    throw new Refusal(400, "None or both of 'slices' and 'sliceId' must be set");
  number(query, 'concurrency', 1, 1);
  if (query.get('slices') === '0') throw new Refusal(400, 'slices must be positive, but was 0');
  const slices = number(query, 'slices', 1, 1);
  const sliceId = number(query, 'sliceId', 0, 0);
  if (sliceId >= slices) throw new Refusal(400, `sliceId must be in [0, ${slices}), but was ${sliceId}`);
  const [from, to] = [number(query, 'fromTimestamp', 0, 0), number(query, 'toTimestamp', 0, 0)];
  if (to !== 0 && to < from)
    throw new Refusal(400, 'toTimestamp must be greater than, or equal to, fromTimestamp');
  return {
    path,
    selection: query.get('selection') ?? '',
    fieldSet: fieldSetOf(store, query),
    slices,
    sliceId,
    continuation: query.get('continuation') ?? undefined,
    fromTimestamp: from,
    toTimestamp: to === 0 ? Infinity : to,
    includeRemoves: flag(query, 'includeRemoves') === true,
    format: tensorFormat(query),
    // No document type of ours is global.
    nothing: path.type === undefined && bucketSpace === 'global',
  };
}

function fieldSetOf(store: DiskStore, query: URLSearchParams): string | undefined {
  const fieldSet = query.get('fieldSet') ?? undefined;
  const type = fieldSet?.includes(':') ? fieldSet.slice(0, fieldSet.indexOf(':')) : undefined;
  if (type !== undefined && !store.model.schemas.has(type))
    throw new FieldSetError(`Unknown document type ${type}`);
  return fieldSet;
}

function checkCluster(store: DiskStore, query: URLSearchParams): void {
  const cluster = query.get('cluster');
  const known = store.model.contentCluster;
  if (cluster === null || cluster === known) return;
  throw new Refusal(400, `Your Vespa deployment has no content cluster '${cluster}', only '${known}'`);
}

/** What is no format, or two of them, is as if nothing were said. */
function tensorFormat(query: URLSearchParams): TensorFormat {
  const all = query.getAll('format.tensors');
  const given = all.length === 1 ? all[0] : undefined;
  return TENSOR_FORMATS.find((format) => format === given) ?? 'short';
}

function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new Refusal(400, `Failed parsing '${text}': Invalid boolean value '${text}'`);
}

function number(query: URLSearchParams, name: string, fallback: number, least: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (!/^-?\d+$/.test(text)) throw new Refusal(400, `Failed parsing '${text}': For input string: "${text}"`);
  if (Number(text) < least)
    throw new Refusal(400, `${name} must be ${least === 0 ? 'non-negative' : 'positive'}`);
  return Number(text);
}

function seconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|ks|s|m|h)?$/.exec(text);
  if (match === null)
    throw new Refusal(400, `Failed parsing '${text}': Error parsing '${text}': Invalid number '${text}'`);
  return Number(match[1]) * { ms: 0.001, s: 1, ks: 1000, m: 60, h: 3600 }[match[2] ?? 's']!;
}

function json(status: number, body: unknown): ApiResponse {
  return jsonText(status, JSON.stringify(body));
}

function jsonText(status: number, body: string): ApiResponse {
  return { status, headers: { 'content-type': 'application/json; charset=UTF-8' }, body };
}
