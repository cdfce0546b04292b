import { type PhoenixAnswer, PhoenixClient } from '../../../src/phoenix/client.js';
import { BARRIER_PROJECT } from '../../../src/phoenix/drain.js';

/** Projects of one Phoenix in memory; what is sent is stored at once. */
export class PhoenixStandIn extends PhoenixClient {
  private readonly projects = new Map<string, { id: string; description: string }>();
  private created = 0;

  constructor() {
    super('http://phoenix.invalid');
  }

  /** Null when there is no such project. */
  contentOf(project: string): unknown {
    return this.projects.get(project) ?? null;
  }

  override async send(method: string, path: string, body?: unknown): Promise<PhoenixAnswer> {
    if (path.startsWith('/v1/spans/')) return answer(204);
    if (path === '/graphql') return answer(200, { data: NO_POLICIES });
    if (method === 'POST' && path === '/v1/projects') {
      const { name, description } = body as { name: string; description: string };
      this.projects.set(name, { id: `p${++this.created}`, description });
    }
    const [, named, spans] = /^\/v1\/projects\/([^/?]+)(\/spans)?/.exec(path) ?? [];
    const name = named ?? (body as { name: string }).name;
    if (spans !== undefined && method === 'POST') return answer(202, {});
    if (spans !== undefined) return answer(200, { data: name === BARRIER_PROJECT ? [SPAN] : [] });
    if (method === 'DELETE') return answer(this.projects.delete(name) ? 204 : 404);
    const found = this.projects.get(name);
    return found === undefined ? answer(404) : answer(200, { data: { id: found.id, name } });
  }
}

const NO_POLICIES = {
  projectTraceRetentionPolicies: { edges: [], pageInfo: { hasNextPage: false, endCursor: null } },
};
const SPAN = {
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
