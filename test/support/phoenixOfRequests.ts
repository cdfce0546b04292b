import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

const START = Date.UTC(2026, 0, 1);
const DAYS = 30;
/** Prime, so that it has no factor in common with a count that is none of its multiples. */
const STEP = 7_919;
export const FAILED_EVERY = 50;
export const VIDEOS_EVERY = 10;

/**
 * A Phoenix over HTTP with a project of so many searches, page by page, made as they are asked for: durations from 20 ms
 * to 18 minutes in no order, whose quantiles are known. For each tenth there is an ingested video.
 */
export class PhoenixOfRequests {
  private constructor(
    private readonly server: http.Server,
    private readonly searches: number,
  ) {}

  static async start(searches: number): Promise<PhoenixOfRequests> {
    const server = http.createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(phoenix.page(new URL(request.url!, 'http://phoenix').searchParams)));
    });
    const phoenix = new PhoenixOfRequests(server, searches);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return phoenix;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Milliseconds of the search that so many are faster than. */
  durationOfRank(rank: number): number {
    return Math.round(20_000 * Math.exp((11 * (rank + 0.5)) / this.searches)) / 1000;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private page(query: URLSearchParams): object {
    const roots = query.get('parent_id') === 'null';
    const count = roots ? this.searches : Math.floor(this.searches / VIDEOS_EVERY);
    const from = Number(query.get('cursor') ?? 0);
    const end = Math.min(count, from + Number(query.get('limit')));
    const data = Array.from({ length: end - from }, (_, i) => this.span(from + i, roots));
    return { data, next_cursor: end < count ? String(end) : null };
  }

  private span(n: number, root: boolean) {
    const startedAt = START * 1000 + Math.floor((n / this.searches) * DAYS * 86_400e6);
    const duration = Math.round(this.durationOfRank((n * STEP) % this.searches) * 1000);
    return {
      id: Buffer.from(`Span:${n}`).toString('base64'),
      name: root ? 'search_service.search' : 'ingest.video',
      context: { trace_id: n.toString(16).padStart(32, 'a'), span_id: n.toString(16).padStart(16, 'b') },
      span_kind: 'CHAIN',
      parent_id: root ? null : 'c'.repeat(16),
      start_time: iso(startedAt),
      end_time: iso(startedAt + duration),
      status_code: n % FAILED_EVERY === 0 ? 'ERROR' : 'OK',
      status_message: '',
      attributes: {
        ...{ 'operation.name': root ? 'search' : 'ingest.video', 'cvops.request': 'yes', tenant_id: 'acme' },
        ...{ 'input.value': `query ${n}`, 'output.value': 'x'.repeat(300), 'session.id': `acme:s${n}` },
      },
      events: [],
    };
  }
}

/** To the microsecond, as Phoenix writes it. */
function iso(micros: number): string {
  const seconds = new Date(Math.floor(micros / 1e6) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(micros % 1e6).padStart(6, '0')}+00:00`;
}
