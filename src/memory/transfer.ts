import { TransformStream } from 'node:stream/web';
import { OpsError } from '../domain/errors.js';
import type { DocumentClient } from '../vespa/documents.js';
import { feed } from '../vespa/feed.js';
import type { FeedItem } from '../vespa/feeding/operation.js';
import { addressOf, documentBody } from './documents.js';
import type { Embedder } from './embedders/port.js';
import { type ReadOptions, readAll } from './readAll.js';
import { RECORD_FIELDS, checkRecord, recordOf, storedOf } from './records.js';
import type { MemoryRecord, TenantLife } from './tenantMemory.js';
import { vectorHex } from './vectors.js';

/** Of documents of some 6 KB. */
const IN_FLIGHT = 32;
/** Records that are embedded anew at a time. */
const BATCH = 64;

/** Every record once, in no order. Memory holds a part or two of each slice. @throws as `readAll` */
export async function* exportAll(options: Omit<ReadOptions, 'fields'>): AsyncGenerator<MemoryRecord> {
  const { readable, writable } = new TransformStream<MemoryRecord[], MemoryRecord[]>();
  const writer = writable.getWriter();
  const reading = readAll(
    { ...options, fields: RECORD_FIELDS },
    async (part) => {
      const records: MemoryRecord[] = [];
      for await (const fields of part) records.push(recordOf(fields));
      return records;
    },
    () => ({
      // Rejects when the reader has gone, which ends the visit.
      take: (part) => writer.write(part),
      restart: () =>
        Promise.reject(
          new OpsError('Unavailable', 'Vespa lost documents while they were read', 'export again'),
        ),
    }),
  ).then(
    () => writer.close(),
    (error: unknown) => writer.abort(error),
  );
  try {
    for await (const part of readable) yield* part;
  } finally {
    await reading.catch(() => undefined);
  }
}

/**
 * Puts each record under its id. One whose vector another model made is embedded anew, for it could not be found here;
 * all the rest stays as it was.
 *
 * @returns how many were acknowledged
 * @throws OpsError `InvalidInput` naming the first record that is none, when those before it are stored
 */
export async function importAll(
  { documents, life, embedder }: { documents: DocumentClient; life: TenantLife; embedder: Embedder },
  records: AsyncIterable<unknown> | Iterable<unknown>,
  call: { readonly signal?: AbortSignal; readonly onProgress?: (stored: number) => void },
): Promise<number> {
  const { signal, onProgress } = call;
  async function* items(): AsyncGenerator<FeedItem> {
    for await (const batch of inBatches(records)) {
      const others = batch.filter((record) => record.embedder !== embedder.id);
      const texts = others.map(({ payload }) => String(payload['data']));
      const vectors = texts.length > 0 ? await embedder.embed(texts, signal) : [];
      const anew = new Map(others.map((record, at) => [record, vectorHex(vectors[at]!)]));
      for (const record of batch) {
        const hex = anew.get(record);
        const stored = { ...storedOf(record), ...(hex === undefined ? {} : { embedder: embedder.id }) };
        yield {
          at: addressOf(life, record.id),
          body: documentBody(life, stored, hex ?? record.embedding),
        };
      }
    }
  }
  return feed(documents, items(), {
    concurrency: IN_FLIGHT,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onStored: onProgress }),
  });
}

/** How many of the records are not there. A file that names one twice counts it twice. */
export async function countNew(
  { documents, life }: { documents: DocumentClient; life: TenantLife },
  records: AsyncIterable<unknown> | Iterable<unknown>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let fresh = 0;
  const fieldSet = `${life.schema}:id`;
  for await (const batch of inBatches(records)) {
    const found = await Promise.all(
      batch.map(({ id }) => documents.get(addressOf(life, id), { fieldSet, signal })),
    );
    fresh += found.filter((fields) => fields === undefined).length;
  }
  return fresh;
}

async function* inBatches(
  records: AsyncIterable<unknown> | Iterable<unknown>,
): AsyncGenerator<MemoryRecord[]> {
  let batch: MemoryRecord[] = [];
  let at = 0;
  for await (const record of records) {
    at++;
    let checked: MemoryRecord;
    try {
      checked = checkRecord(record, at);
    } catch (error) {
      // Those before it are good.
      yield batch;
      throw error;
    }
    batch.push(checked);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}
