import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** An OpenAI-compatible endpoint that answers what a test wants, and remembers what it was asked. */
export class JudgeStandIn {
  readonly asked: { readonly system: string; readonly user: string; readonly key: string | undefined }[] = [];
  /** The model's text; a number: that status instead. */
  answer: (user: string) => string | number = () => 503;

  private constructor(private readonly server: http.Server) {}

  static async start(): Promise<JudgeStandIn> {
    const server = http.createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const { messages } = JSON.parse(body) as { messages: { content: string }[] };
        const [system, user] = messages.map(({ content }) => content) as [string, string];
        judge.asked.push({ system, user, key: request.headers.authorization });
        const said = judge.answer(user);
        if (typeof said === 'number') return response.writeHead(said).end('{}');
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: said } }] }));
      });
    });
    const judge = new JudgeStandIn(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return judge;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
