import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * One document/v1 request: before the server has it, after it has answered (and the asker does not know yet), or while
 * the answer of a visit is on its way.
 */
export interface Passing {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly when: 'before' | 'during' | 'after';
  /** That this piece of a visit's answer brings. */
  readonly documents?: number;
}

/** Of a visit's answer, passed on at a time. */
const PIECE_BYTES = 8 << 10;
const DOCUMENT = Buffer.from('{"put":"');

/** Stands before a Vespa, counts how often each document is put, and lets a test act while a request is on its way. */
export class CountingProxy {
  /** By document id; counted when the server has answered 200. */
  readonly puts = new Map<string, number>();
  /** Documents that streamed visits have brought, by schema. */
  readonly visited = new Map<string, number>();
  /** Bytes a second of each visit. Slower than the asker reads, next to nothing is underway when it is killed. */
  visitRate = Infinity;
  /** The request goes on when it has ended. */
  onRequest: (passing: Passing) => void | Promise<void> = () => undefined;
  /** What it answers itself, as JSON with this status, instead of asking the server. */
  refuse: (method: string) => { readonly status: number; readonly message: string } | undefined = () =>
    undefined;
  private readonly server = http.createServer((request, response) => void this.pass(request, response));
  private readonly agent = new http.Agent({ keepAlive: true });

  constructor(private readonly target: string) {}

  async listen(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.agent.destroy();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const { method = 'GET', url: path = '/' } = request;
      const body = await buffer(request);
      await this.onRequest({ method, path, when: 'before' });
      const refusal = this.refuse(method);
      if (refusal) {
        response
          .writeHead(refusal.status, { 'content-type': 'application/json' })
          .end(JSON.stringify(refusal));
        return;
      }
      const onward = http.request(new URL(path, this.target), {
        method,
        agent: this.agent,
        headers: { ...request.headers, host: new URL(this.target).host, 'content-length': body.length },
      });
      const [answer] = (await once(onward.end(body), 'response')) as [http.IncomingMessage];
      const visit = /^\/document\/v1\/[^/]+\/([^/]+)\/docid\/\?.*\bstream=true/.exec(request.url ?? '');
      if (visit?.[1] !== undefined) {
        await this.passVisit(visit[1], path, answer, response);
        return;
      }
      const answered = await buffer(answer);
      const id = decodeURIComponent(/\/docid\/([^?]*)/.exec(path)?.[1] ?? '');
      if (method === 'POST' && answer.statusCode === 200) this.puts.set(id, (this.puts.get(id) ?? 0) + 1);
      await this.onRequest({ method, path, when: 'after' });
      response.writeHead(answer.statusCode ?? 502, answer.headers).end(answered);
    } catch {
      // The asker was killed while it sent.
      response.destroy();
    }
  }
  private async passVisit(
    schema: string,
    path: string,
    answer: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    let before: Buffer = Buffer.alloc(0);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        if (!response.write(piece)) await once(response, 'drain', { signal: gone.signal });
        const text = Buffer.concat([before, piece]);
        const documents = beginnings(text);
        this.visited.set(schema, (this.visited.get(schema) ?? 0) + documents);
        before = text.subarray(Math.max(0, text.length - DOCUMENT.length + 1));
        await this.onRequest({ method: 'GET', path, when: 'during', documents });
        if (this.visitRate !== Infinity)
          await delay((1000 * piece.length) / this.visitRate, undefined, { signal: gone.signal });
      }
    }
    response.end();
  }
}

/** How many documents begin in it. Within one the quotes would be escaped. */
function beginnings(text: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(DOCUMENT); at >= 0; at = text.indexOf(DOCUMENT, at + 1)) count++;
  return count;
}
