import { type PhoenixAnswer, PhoenixClient } from '../../../src/phoenix/client.js';
import { BARRIER_PROJECT } from '../../../src/phoenix/drain.js';

interface Policy {
  readonly name: string;
  readonly rule: { readonly maxDays?: number; readonly maxCount?: number };
  /** Ids. */
  readonly projects: readonly string[];
}

/** Projects of one Phoenix and their retention policies in memory; what is sent is stored at once. */
export class PhoenixStandIn extends PhoenixClient {
  private readonly projects = new Map<string, { id: string; description: string }>();
  private readonly policies = new Map<string, Policy>();
  private created = 0;

  constructor() {
    super('http://phoenix.invalid');
  }

  /** Null when there is no such project. */
  contentOf(project: string): unknown {
    const found = this.projects.get(project);
    if (found === undefined) return null;
    const policies = [...this.policies.values()].filter(({ projects }) => projects.includes(found.id));
    return { ...found, policies };
  }

  override async send(method: string, path: string, body?: unknown): Promise<PhoenixAnswer> {
    if (path.startsWith('/v1/spans/')) return answer(204);
    if (path === '/graphql') return answer(200, { data: this.graph(body as Graph) });
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

  private graph({ query, variables: { id, input } }: Graph): object {
    if (query.includes('deleteProjectTraceRetentionPolicy')) this.policies.delete(id!);
    if (input !== undefined) {
      const key = input.id ?? `r${++this.created}`;
      const name = input.name ?? this.policies.get(key)!.name;
      // A project has one policy: assigning it takes it from another.
      for (const [other, policy] of this.policies)
        this.policies.set(other, {
          ...policy,
          projects: policy.projects.filter((project) => !input.addProjects.includes(project)),
        });
      this.policies.set(key, { name, rule: Object.values(input.rule)[0]!, projects: input.addProjects });
    }
    if (query.includes('node(id')) return { node: this.policy(id!) };
    return {
      projectTraceRetentionPolicies: {
        edges: [...this.policies].map(([id, { name }]) => ({ node: { id, name } })),
        pageInfo: { hasNextPage: false, endCursor: null },
      },
    };
  }

  private policy(id: string): object | null {
    const policy = this.policies.get(id);
    if (policy === undefined) return null;
    const assigned = [...this.projects].filter(([, project]) => policy.projects.includes(project.id));
    return {
      ...{ id, rule: policy.rule },
      projects: { edges: assigned.map(([name]) => ({ node: { name } })) },
    };
  }
}

interface Graph {
  readonly query: string;
  readonly variables: { readonly id?: string; readonly input?: PolicyInput };
}
interface PolicyInput {
  readonly id?: string;
  readonly name?: string;
  readonly rule: Readonly<Record<string, Policy['rule']>>;
  readonly addProjects: readonly string[];
}

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
