import { DocumentClient } from '../../../src/vespa/documents.js';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Bucket {
  readonly documents: readonly string[];
}

/** What becomes of one response: cut after so many bytes of its body, or answered with a status, or as it should be. */
export type Fate =
  | { readonly kind: 'whole' }
  | { readonly kind: 'cut'; readonly after: number }
  /** Ends in good order of HTTP after so many bytes, with no word of why. */
  | { readonly kind: 'short'; readonly after: number }
  | { readonly kind: 'silent'; readonly after: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'error'; readonly afterBuckets: number }
  /** The time limit: an orderly end with a token. */
  | { readonly kind: 'limit'; readonly afterBuckets: number }
  /** Leaves out a document and counts it. */
  | { readonly kind: 'loses'; readonly document: number };

/**
 * Visits as Vespa's container writes them: one bucket after the other, and a continuation behind the first document that
 * follows the bucket it is about.
 */
export class ScriptedVisits {
  readonly requests: URLSearchParams[] = [];
  private readonly server = http.createServer((request, response) => this.serve(request, response));

  constructor(
    private readonly buckets: readonly Bucket[],
    private readonly fate: (request: number) => Fate = () => ({ kind: 'whole' }),
  ) {}

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  /** The bytes of a whole response from a bucket on. */
  body(from: number, until = this.buckets.length, lost = -1): string {
    const lines: string[] = [];
    let pending: string | undefined;
    let count = 0;
    for (let bucket = from; bucket < until; bucket++) {
      for (const document of this.buckets[bucket]!.documents) {
        if (count++ !== lost) lines.push(document);
        if (pending !== undefined) lines.push(pending);
        pending = undefined;
      }
      pending = this.continuation(bucket + 1);
    }
    lines.push(`{"sessionStats":{"documentCount":${count}}}`);
    lines.push(
      until === this.buckets.length ? '{"continuation":{"percentFinished":100.0}}' : this.continuation(until),
    );
    return lines.map((line) => `${line}\n`).join('');
  }

  private continuation(next: number): string {
    const percent = (100 * next) / this.buckets.length;
    return `{"continuation":{"token":"b${next}","percentFinished":${percent}}}`;
  }

  serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const query = new URL(request.url!, 'http://x').searchParams;
    const fate = this.fate(this.requests.length);
    this.requests.push(query);
    const from = Number(query.get('continuation')?.slice(1) ?? 0);
    if (fate.kind === 'status') {
      response.writeHead(fate.status, { 'retry-after': '0' });
      response.end(fate.status === 503 ? '' : JSON.stringify({ message: `scripted ${fate.status}` }));
      return;
    }
    response.writeHead(200, { 'content-type': 'application/jsonl; charset=UTF-8' });
    const until = (buckets: number) => Math.min(this.buckets.length, from + buckets);
    switch (fate.kind) {
      case 'whole':
        return void response.end(this.body(from));
      case 'limit':
        return void response.end(this.body(from, until(fate.afterBuckets)));
      case 'loses':
        return void response.end(this.body(from, undefined, fate.document));
      case 'error': {
        const body = this.body(from, until(fate.afterBuckets));
        const message = '{"message":{"text":"Visiting failed","severity":"error"}}\n';
        return void response.end(body.slice(0, body.lastIndexOf('{"continuation"')) + message);
      }
      case 'short':
        return void response.end(Buffer.from(this.body(from)).subarray(0, fate.after));
      case 'silent':
        return void response.write(Buffer.from(this.body(from)).subarray(0, fate.after));
      case 'cut': {
        const body = Buffer.from(this.body(from));
        if (body.length <= fate.after) return void response.end(body);
        response.flushHeaders();
        const bytes = body.subarray(0, fate.after);
        // Both sides are on one machine: what was written before the reset has arrived by then.
        response.write(bytes, () => setImmediate(() => request.socket.resetAndDestroy()));
      }
    }
  }
}

export const put = (id: string, fields = '{"title":"x"}'): string =>
  `{"put":"id:content:music::${id}","fields":${fields}}`;

/** `sizes` documents in as many buckets. */
export function bucketsOf(sizes: readonly number[]): Bucket[] {
  return sizes.map((size, bucket) => ({
    documents: Array.from({ length: size }, (_, n) => put(`${bucket}_${n}`)),
  }));
}

/** Servers of a test file, each with a client; `close` after each test ends what was started, and what is in `open`. */
export function startedVisits() {
  const open: (() => Promise<void>)[] = [];
  const start = async (buckets: readonly Bucket[], fate?: (request: number) => Fate) => {
    const server = new ScriptedVisits(buckets, fate);
    const client = new DocumentClient(await server.listen(), { connections: 4 });
    open.push(async () => {
      await server.close();
      await client.close();
    });
    return { server, client };
  };
  const close = async () => {
    for (const end of open.splice(0)) await end();
  };
  return { open, start, close };
}
