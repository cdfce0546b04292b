import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly id: string;
  /** How many requests for this id came before. */
  readonly before: number;
}

/** A status; or where the connection is reset; or a promise of one, which is how a slow server is made. */
export type Reply =
  | number
  | 'reset-before-body'
  | 'reset-after-storing'
  | 'reset-in-status-line'
  | 'reset-in-answer'
  | 'close-after-answer';

/** document/v1 in memory, answering as the test's script says; 200 is done, everything else is not. */
export class ScriptedVespa {
  readonly stored = new Map<string, string>();
  /** Every request, in the order of arrival. */
  readonly seen: Seen[] = [];
  inFlight = 0;
  peak = 0;
  /** Two requests for one document at a time were seen. */
  overtaken = false;
  retryAfter: string | undefined;
  private readonly counts = new Map<string, number>();
  private readonly active = new Set<string>();
  private readonly server = http.createServer((request, response) => void this.serve(request, response));

  constructor(private readonly script: (seen: Seen) => Reply | Promise<Reply> = () => 200) {}

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

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const id = decodeURIComponent(request.url!.slice(request.url!.lastIndexOf('/') + 1));
    const before = this.counts.get(id) ?? 0;
    this.counts.set(id, before + 1);
    const seen = { method: request.method!, id, before };
    this.seen.push(seen);
    if (this.active.has(id)) this.overtaken = true;
    this.active.add(id);
    this.peak = Math.max(this.peak, ++this.inFlight);
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      this.inFlight--;
      this.active.delete(id);
    };
    response.once('close', end);
    const reply = await this.script(seen);
    if (reply === 'reset-before-body') return void request.socket.resetAndDestroy();
    let body = '';
    try {
      for await (const chunk of request) body += String(chunk);
    } catch {
      return;
    }
    // Before the client can know.
    end();
    this.answer(reply, seen, body, response);
  }

  private answer(
    reply: Exclude<Reply, 'reset-before-body'>,
    { method, id }: Seen,
    body: string,
    response: http.ServerResponse,
  ): void {
    if (reply === 200 || typeof reply === 'string') {
      if (method === 'DELETE') this.stored.delete(id);
      else this.stored.set(id, body);
    }
    const { socket } = response;
    switch (reply) {
      case 'reset-after-storing':
        return void socket?.resetAndDestroy();
      case 'reset-in-status-line':
        return void socket?.write('HTTP/1.1 20', () => socket.resetAndDestroy());
      case 'reset-in-answer':
        return void socket?.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id"', () =>
          socket.resetAndDestroy(),
        );
      default: {
        const status = reply === 'close-after-answer' ? 200 : reply;
        if (reply === 'close-after-answer') response.shouldKeepAlive = false;
        if (status !== 200 && this.retryAfter !== undefined)
          response.setHeader('retry-after', this.retryAfter);
        response.statusCode = status;
        // A 503 has no JSON: there was no thread to write any.
        response.end(status === 503 ? '' : JSON.stringify({ id, message: `scripted ${status}` }));
      }
    }
  }
}
