import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Client, ScheduleNotFoundError, WorkflowNotFoundError } from '@temporalio/client';
import type { SchemaChangeRequest } from '../../src/contracts/tenants.js';
import { type PhoenixAnswer, PhoenixClient } from '../../src/phoenix/client.js';
import { BARRIER_PROJECT } from '../../src/phoenix/drain.js';
import type { Stores } from '../../src/purge/stores.js';
import type { Pool } from '../../src/registry/database.js';
import type { ConfigServer } from '../../src/vespa/configServer.js';
import type { DocumentClient } from '../../src/vespa/documents.js';
import { initialServices } from '../../src/vespa/package/services.js';

/** Vespa, Phoenix and Temporal in memory, as far as a purge looks at them. */
export class PurgeStandIns {
  /** Documents of every schema that the package has. */
  readonly schemas = new Map<string, number>();
  readonly phoenix = new PhoenixStandIn();
  readonly temporal = new TemporalStandIn();
  private constructor(
    private readonly search: http.Server,
    readonly vespaUrl: string,
  ) {}

  static async start(): Promise<PurgeStandIns> {
    let schemas: ReadonlyMap<string, number> = new Map();
    const search = http.createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const { 'model.restrict': schema } = JSON.parse(body) as { 'model.restrict': string };
        const known = schemas.has(schema);
        response.writeHead(known ? 200 : 400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ root: known ? {} : { errors: [{ message: 'unknown schema' }] } }));
      });
    });
    search.listen(0, '127.0.0.1');
    await once(search, 'listening');
    const standIns = new PurgeStandIns(search, `http://127.0.0.1:${(search.address() as AddressInfo).port}`);
    schemas = standIns.schemas;
    return standIns;
  }

  stores(pool: Pool): Stores {
    const { schemas } = this;
    const configServer: Pick<ConfigServer, 'listFiles' | 'readFile' | 'activeGeneration'> = {
      listFiles: async () => ['services.xml', ...[...schemas.keys()].map((name) => `schemas/${name}.sd`)],
      readFile: async () => Buffer.from(initialServices([...schemas.keys()])),
      activeGeneration: async () => 1,
    };
    const documents: Pick<DocumentClient, 'count'> = { count: async (schema) => schemas.get(schema)! };
    return {
      pool,
      vespaUrl: this.vespaUrl,
      configServer: configServer as ConfigServer,
      documents: documents as DocumentClient,
      phoenix: this.phoenix,
      temporal: async () => this.temporal.client,
    };
  }

  async stop(): Promise<void> {
    this.search.closeAllConnections();
    this.search.close();
    await once(this.search, 'close');
  }
}

class PhoenixStandIn extends PhoenixClient {
  /** Spans of each project. */
  readonly projects = new Map<string, number>();
  /** Names of retention policies. */
  readonly policies: string[] = [];

  constructor() {
    super('http://phoenix.invalid');
  }

  override async send(method: string, path: string, body?: unknown): Promise<PhoenixAnswer> {
    if (path === '/graphql') return answer(200, { data: this.graph(body as Graph) });
    if (path.startsWith('/v1/spans/')) return answer(204);
    const [, name = '', spans] = /^\/v1\/projects\/([^/?]+)(\/spans)?/.exec(path) ?? [];
    if (spans !== undefined && method === 'POST') return answer(202, {});
    if (spans !== undefined) return answer(200, { data: name === BARRIER_PROJECT ? [SENTINEL] : [] });
    if (method === 'DELETE') return answer(this.projects.delete(name) ? 204 : 404);
    return this.projects.has(name) ? answer(200, { data: { id: name, name } }) : answer(404);
  }

  private graph({ query, variables }: Graph): object {
    if (query.includes('recordCount')) {
      const recordCount = this.projects.get(variables.name!);
      return { getProjectByName: recordCount === undefined ? null : { recordCount } };
    }
    if (query.includes('mutation')) this.policies.splice(this.policies.indexOf(variables.id!), 1);
    return {
      projectTraceRetentionPolicies: {
        edges: this.policies.map((n) => ({ node: { id: n, name: n } })),
        pageInfo: { hasNextPage: false, endCursor: null },
      },
    };
  }
}

interface Graph {
  readonly query: string;
  readonly variables: { readonly name?: string; readonly id?: string };
}

const SENTINEL = {
  name: 'drain',
  context: { trace_id: '0', span_id: '0' },
  span_kind: 'CHAIN',
  start_time: '2026-01-01T00:00:00Z',
  end_time: '2026-01-01T00:00:00Z',
  status_code: 'OK',
  status_message: '',
  attributes: {},
};

function answer(status: number, json?: unknown): PhoenixAnswer {
  return { status, contentType: 'application/json', body: json === undefined ? '' : JSON.stringify(json) };
}

class TemporalStandIn {
  /** Open workflows; what a cancellation does to one is its value. */
  readonly open = new Map<string, (() => void | Promise<void>) | undefined>();
  readonly schedules = new Set<string>();
  /** What was asked of workflows, in order: `cancel ID`, `signal ID`, `terminate ID`. */
  readonly journal: string[] = [];
  /** Arguments of signal-with-start. */
  readonly requests: SchemaChangeRequest[] = [];

  readonly client = {
    workflow: {
      getHandle: (id: string) => {
        const found = (what: string) => {
          if (!this.open.has(id)) throw new WorkflowNotFoundError('not there', id, undefined);
          this.journal.push(`${what} ${id}`);
        };
        return {
          describe: async () => ({ status: { name: this.open.has(id) ? 'RUNNING' : 'COMPLETED' } }),
          signal: async () => found('signal'),
          cancel: async () => {
            found('cancel');
            await this.open.get(id)?.();
            this.open.delete(id);
          },
          terminate: async () => {
            found('terminate');
            this.open.delete(id);
          },
        };
      },
      signalWithStart: async (_type: string, { signalArgs }: { signalArgs: SchemaChangeRequest[] }) =>
        void this.requests.push(...signalArgs),
    },
    schedule: {
      getHandle: (id: string) => {
        const found = () => {
          if (!this.schedules.has(id)) throw new ScheduleNotFoundError('not there', id);
        };
        return {
          describe: async () => (found(), { state: { paused: false } }),
          pause: async () => found(),
          delete: async () => {
            found();
            this.schedules.delete(id);
          },
        };
      },
    },
  } as unknown as Client;
}
