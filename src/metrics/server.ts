import { once } from 'node:events';
import { type ServerResponse, createServer } from 'node:http';
import type { Queryable } from '../registry/database.js';
import type { ListenAddress } from './listenAddress.js';
import { tenantMetrics } from './tenantMetrics.js';

export interface MetricsServer {
  close(): Promise<void>;
}

/**
 * Serves the tenants' gauges at `GET /metrics`, to whoever reaches the address. While the registry does not answer it is
 * 503: a scrape that failed, and no old value.
 *
 * @throws the system's error when the address cannot be listened on
 */
export async function serveTenantMetrics(
  { host, port }: ListenAddress,
  db: Queryable,
  onError: (error: unknown) => void,
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const known = request.method === 'GET' && request.url?.split('?')[0] === '/metrics';
    if (!known) return answer(response, 404, 'see /metrics\n');
    tenantMetrics(db).then(
      ({ text, contentType }) => answer(response, 200, text, contentType),
      (error: unknown) => {
        onError(error);
        answer(response, 503, 'the registry does not answer\n');
      },
    );
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type }).end(text);
}
