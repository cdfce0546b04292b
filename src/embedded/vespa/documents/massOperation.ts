import { setImmediate as breathe } from 'node:timers/promises';
import type { ApiRequest, ApiResponse } from '../api.js';
import type { DiskStore } from './diskStore.js';
import type { DocumentPath } from './path.js';
import { MAX_BODY, Refusal, json, parseBody, seconds } from './request.js';
import { applyUpdate } from './update.js';
import { Visit } from './visit.js';
import { readVisit } from './visitRequest.js';

/** Delete, update or copy by selection, at most `timeChunk` seconds a request. */
export async function massOperation(
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
      ? ((parseBody(await request.body(MAX_BODY))['fields'] ?? {}) as Record<string, unknown>)
      : undefined;
  if (update && path.type !== undefined && store.model.schemas.has(path.type))
    applyUpdate(store.model.schemas.get(path.type)!, {}, update);
  const until = Date.now() + seconds(query.get('timeChunk') ?? '60') * 1000;
  const visit = new Visit(store, { ...readVisit(store, path, query), includeRemoves: false });
  let count = 0;
  let bucket: number | undefined;
  while ((bucket = visit.nextBucket) !== undefined) {
    for (const visited of visit.documents(bucket)) {
      if (visited === undefined) continue;
      const { type, entry } = visited;
      const { id } = entry;
      count++;
      if (update === undefined) store.remove(type, id);
      else {
        const current = store.read(type, id);
        if (current) store.put(type, id, applyUpdate(store.model.schemas.get(type)!, current, update));
      }
    }
    visit.finish(bucket);
    if (Date.now() > until) break;
    await breathe();
  }
  const { continuation } = visit;
  return json(200, {
    pathId: path.raw,
    documentCount: count,
    ...(continuation === undefined ? {} : { continuation }),
  });
}
