import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { CONTENT_NAMESPACE } from '../src/domain/naming.js';
import { segmentBody } from '../src/vespa/embedding.js';
import type { FeedItem } from '../src/vespa/feeding/operation.js';

/** Bodies that differ; a server would not be faster with as many as there are documents. */
const VARIETY = 16;
const PATCHES = 1024;
const DIMENSIONS = 128;
const WORDS = 'a durable operation feeds every frame of the video once and reads it back'.split(' ');

export type BodyKind = 'small' | 'colpali';

/**
 * Writes the JSON lines that both feeders read: `{"put":"id:…","fields":{…}}`.
 *
 * @returns bytes of one body, on average
 */
export async function writeFeedFile(
  file: string,
  schema: string,
  kind: BodyKind,
  count: number,
): Promise<number> {
  const random = generator(42);
  const bodies = Array.from({ length: VARIETY }, (_, n) =>
    kind === 'small' ? smallBody(random, n) : colpaliBody(random, n),
  );
  const out = createWriteStream(file);
  for (let n = 0; n < count; n++) {
    out.write(`{"put":"id:${CONTENT_NAMESPACE}:${schema}::doc_${n}",`);
    const more = out.write(bodies[n % VARIETY]!.subarray(1));
    out.write('\n');
    if (!more) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  return Math.round(bodies.reduce((sum, body) => sum + body.length, 0) / VARIETY);
}

const BEFORE_FIELDS = Buffer.from('","fields":');
const OPEN = '{'.charCodeAt(0);

/** Reads such a file; the fields stay the bytes that they are. */
export async function* readFeedFile(file: string): AsyncGenerator<FeedItem> {
  for await (const line of linesOf(file)) {
    const idEnd = line.indexOf(BEFORE_FIELDS);
    const [, namespace, schema, , id] = line.toString('utf8', '{"put":"'.length, idEnd).split(':');
    // The comma before "fields" becomes the brace that opens the body.
    line[idEnd + 1] = OPEN;
    yield { at: { namespace: namespace!, schema: schema!, id: id! }, body: line.subarray(idEnd + 1) };
  }
}

async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const rest = chunk.subarray(from, end);
      yield begun.length === 0 ? rest : Buffer.concat([...begun, rest]);
      begun = [];
      from = end + 1;
    }
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
}

function smallBody(random: () => number, n: number): Buffer {
  const text = Array.from({ length: 90 }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ');
  return Buffer.from(JSON.stringify({ fields: { tenant: 'bench', position: n, text } }));
}

function colpaliBody(random: () => number, n: number): Buffer {
  const vectors = Array.from({ length: PATCHES }, () =>
    Float32Array.from({ length: DIMENSIONS }, () => random() * 2 - 1),
  );
  const fields = {
    tenant_id: 'bench',
    video_id: `video_${n}`,
    segment_id: n,
    start_time: n,
    end_time: n + 1,
  };
  return segmentBody(fields, vectors, DIMENSIONS);
}

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
