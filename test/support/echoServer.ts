import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server that refuses everything, and repeats in its answer whatever it was sent, as some really do. */
export class EchoServer {
  /** Headers of every request, as sent. */
  readonly heard: http.IncomingHttpHeaders[] = [];

  private constructor(private readonly server: http.Server) {}

  /** @param also said beside what is repeated: a secret of the server's own */
  static async start(also: string): Promise<EchoServer> {
    const server = http.createServer((request, response) => {
      echo.heard.push(request.headers);
      request.resume().on('end', () => {
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: `bad request (${also})`, headers: request.headers }));
      });
    });
    const echo = new EchoServer(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return echo;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
