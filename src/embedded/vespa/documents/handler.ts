import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';
import { BodyTooLarge } from '../http/server.js';
import type { Schema } from '../model.js';
import { SelectionError, parseSelection } from '../selection/selection.js';
import type { DocumentId } from '../store.js';
import type { DiskStore } from './diskStore.js';
import { ROOM, fieldWriter } from './fieldWriter.js';
import { massOperation } from './massOperation.js';
import { Output } from './output.js';
import { type DocumentPath, JettyRefusal, PathError, parseDocumentPath } from './path.js';
import { OperationQueue, Overloaded } from './queue.js';
import {
  MAX_BODY,
  Refusal,
  checkCluster,
  fieldSetOf,
  flag,
  json,
  number,
  parseBody,
  seconds,
  tensorFormat,
  tokenOf,
} from './request.js';
import { applyUpdate } from './update.js';
import { type Stored, ValueError, readField, toFieldValues } from './values.js';
import { VisitError } from './visit.js';
import { visitAnswer } from './visitAnswer.js';
import { FieldSetError } from './fieldSet.js';

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
  const entry = schema && store.find(id.type, id.text);
  if (schema === undefined || entry === undefined) return json(404, { pathId: path.raw, id: id.text });
  const writer = fieldWriter(schema, fieldSetOf(store, query), format);
  const out = new Output(entry.length + 3 * ROOM);
  out.text(`{"pathId":${JSON.stringify(path.raw)},"id":${JSON.stringify(id.text)},"fields":`);
  writer.write(out, store.readBytes(id.type, entry), entry.length);
  out.text('}');
  return {
    status: 200,
    headers: { 'content-type': 'application/json; charset=UTF-8' },
    body: Buffer.concat(out.take()),
  };
}

function writeDocument(
  store: DiskStore,
  method: string,
  id: DocumentId,
  path: DocumentPath,
  query: URLSearchParams,
  body: Buffer | undefined,
): ApiResponse {
  const parsed = body === undefined ? {} : parseBody(body);
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
  const current = method === 'PUT' || condition !== undefined ? store.read(id.type, id.text) : undefined;
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
