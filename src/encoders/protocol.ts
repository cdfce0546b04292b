import { OpsError } from '../domain/errors.js';

/** One input of a request: a PNG picture, or a text. */
export type Input = { readonly png: Buffer } | { readonly text: string };

/** How an endpoint is spoken to. */
export interface Protocol {
  readonly url: string;
  /** Inputs one request may carry. */
  readonly batch: number;
  body(model: string, inputs: readonly Input[]): unknown;
}

/**
 * The protocol by the address: one that ends in `/pooling` is vLLM's, which takes one input a request; any other is
 * OpenAI's, `/v1/embeddings` being added unless it is there.
 *
 * @throws OpsError `InvalidInput` for what is no http(s) address, or carries a user, password, query or fragment
 */
export function protocolOf(address: string, batchSize: number): Protocol {
  const url = parseAddress(address);
  const path = url.pathname.replace(/\/+$/, '');
  if (path.endsWith('/pooling')) {
    url.pathname = path;
    return { url: url.href, batch: 1, body: (model, [input]) => poolingBody(model, input!) };
  }
  url.pathname = path.endsWith('/v1/embeddings') ? path : `${path.replace(/\/v1$/, '')}/v1/embeddings`;
  return { url: url.href, batch: batchSize, body: embeddingsBody };
}

function parseAddress(address: string): URL {
  const invalid = (why: string) =>
    new OpsError(
      'InvalidInput',
      `the encoder address ${why}`,
      'give it as http://host:port or https://host/path',
    );
  if (!URL.canParse(address)) throw invalid('is no URL');
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalid('is neither http nor https');
  if (url.username !== '' || url.password !== '') {
    throw invalid('carries a user or password: give the token by reference');
  }
  if (url.search !== '' || url.hash !== '') throw invalid('carries a query or a fragment');
  return url;
}

/** vLLM's `/pooling` in its chat form. */
function poolingBody(model: string, input: Input): unknown {
  const content =
    'text' in input
      ? { type: 'text', text: input.text }
      : { type: 'image_url', image_url: { url: `data:image/png;base64,${input.png.toString('base64')}` } };
  return { model, messages: [{ role: 'user', content: [content] }], encoding_format: 'float' };
}

/** OpenAI's embeddings with the `images` that multi-vector servers take beside `input`. */
function embeddingsBody(model: string, inputs: readonly Input[]): unknown {
  const texts = inputs.flatMap((input) => ('text' in input ? [input.text] : []));
  const images = inputs.flatMap((input) => ('png' in input ? [input.png.toString('base64')] : []));
  return images.length > 0 ? { model, images } : { model, input: texts, encoding_format: 'float' };
}

/** More rows an input than any model has; four times VideoPrism's. */
const MAX_ROWS = 16_384;

/**
 * The multi-vectors of an answer in the order of the inputs: `data[i].embedding` or `data[i].data`, put in order by
 * `index` when there is one, else `embeddings[i]`; each a list of rows, or one row.
 *
 * @param dimensions of each row; any when left out
 * @throws OpsError `Rejected` saying what is wrong with the answer
 */
export function readAnswer(
  answer: unknown,
  inputs: number,
  dimensions?: number,
  what = 'the encoder',
): Float32Array[][] {
  try {
    return readRows(answer, inputs, dimensions);
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    throw new OpsError('Rejected', `${what}'s answer cannot be used: ${error.message}`, error.hint);
  }
}

function readRows(answer: unknown, inputs: number, dimensions: number | undefined): Float32Array[][] {
  const { data, embeddings } = (answer ?? {}) as { data?: unknown; embeddings?: unknown };
  const items = Array.isArray(data) ? inOrder(data) : embeddings;
  if (!Array.isArray(items) || items.length !== inputs) {
    const count = Array.isArray(items) ? `${items.length}` : 'no';
    throw bad(`${count} embeddings for ${inputs} inputs`);
  }
  return items.map((item) => rowsOf(item, dimensions));
}

function inOrder(data: readonly unknown[]): unknown[] {
  const items = data.map((item, at) => {
    const { index = at, embedding, data: pooled } = (item ?? {}) as Record<string, unknown>;
    return { index, rows: embedding ?? pooled };
  });
  const places = new Set(items.map((item) => item.index));
  const complete = places.size === items.length && items.every((_, at) => places.has(at));
  if (!complete) throw bad('the indexes are not those of the inputs');
  return items.sort((a, b) => Number(a.index) - Number(b.index)).map((item) => item.rows);
}

function rowsOf(item: unknown, dimensions: number | undefined): Float32Array[] {
  if (!Array.isArray(item) || item.length === 0) throw bad('an embedding is no list of numbers');
  const rows = (Array.isArray(item[0]) ? item : [item]) as unknown[];
  if (rows.length > MAX_ROWS) throw bad(`${rows.length} rows for one input`);
  return rows.map((row) => {
    if (!Array.isArray(row)) throw bad('an embedding mixes rows and numbers');
    if (dimensions !== undefined && row.length !== dimensions) {
      throw bad(
        `rows of ${row.length} numbers where the profile has ${dimensions}`,
        'serve the model of the profile',
      );
    }
    if (!row.every((value) => typeof value === 'number' && Number.isFinite(Math.fround(value)))) {
      throw bad('a row holds something that is no finite number');
    }
    return Float32Array.from(row as number[]);
  });
}

class Unusable extends Error {
  constructor(
    why: string,
    readonly hint?: string,
  ) {
    super(why);
  }
}

function bad(why: string, hint?: string): Unusable {
  return new Unusable(why, hint);
}
