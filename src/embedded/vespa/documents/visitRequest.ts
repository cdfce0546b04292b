import type { DiskStore } from './diskStore.js';
import type { DocumentPath } from './path.js';
import { Refusal, fieldSetOf, flag, number, tensorFormat } from './request.js';
import type { VisitRequest } from './visit.js';

export function readVisit(store: DiskStore, path: DocumentPath, query: URLSearchParams): VisitRequest {
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

/** Lines when they are named and nothing is liked better. */
export function prefersJsonLines(accept: string | undefined): boolean {
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
