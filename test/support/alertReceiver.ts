import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Signs what the stack's workers post. */
export const ALERT_SECRET = 'tests sign alerts with this';

export interface ReceivedAlert {
  readonly event: 'alert-opened' | 'alert-raised' | 'alert-resolved';
  readonly alert: string;
  readonly tenant: string | null;
  readonly check: string;
  readonly severity: string;
  readonly fix: string | null;
  /** Of the post. */
  readonly key: string;
  readonly signed: boolean;
}

export interface AlertReceiver {
  readonly url: URL;
  /** Every post, headers and body, as it came. */
  readonly posts: readonly string[];
  stop(): Promise<void>;
}

/** Takes every alert that it is posted; a GET answers with all that came. */
export async function startAlertReceiver(secret = ALERT_SECRET): Promise<AlertReceiver> {
  const received: ReceivedAlert[] = [];
  const posts: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      if (request.method === 'GET') return response.end(JSON.stringify(received));
      posts.push(JSON.stringify([request.url, request.rawHeaders, body]));
      const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
      received.push({
        ...(JSON.parse(body) as ReceivedAlert),
        key: String(request.headers['idempotency-key']),
        signed: request.headers['x-cvops-signature'] === signature,
      });
      return response.writeHead(204).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts`),
    posts,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** What came of one tenant. */
export async function receivedOf(url: string, tenant: string): Promise<ReceivedAlert[]> {
  const all = (await (await fetch(url)).json()) as ReceivedAlert[];
  return all.filter((each) => each.tenant === tenant);
}
