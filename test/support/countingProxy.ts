import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** One document/v1 request, before the server has it or after it has answered (and the asker does not know yet). */
export interface Passing {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly when: 'before' | 'after';
}

/** Stands before a Vespa, counts how often each document is put, and lets a test act while a request is on its way. */
export class CountingProxy {
  /** By document id; counted when the server has answered 200. */
  readonly puts = new Map<string, number>();
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
}
