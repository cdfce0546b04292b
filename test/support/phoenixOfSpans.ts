import { type PhoenixAnswer, PhoenixClient } from '../../src/phoenix/client.js';

interface Query {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const WHEN = '2026-11-20T10:00:00.000001+00:00';

/** A Phoenix whose every project has some spans, each with an annotation: as much of one as an export looks at. */
export class PhoenixOfSpans extends PhoenixClient {
  private readonly spans: readonly ReturnType<typeof spanOf>[];

  constructor(count: number) {
    super('http://phoenix.invalid');
    this.spans = Array.from({ length: count }, (_, n) => spanOf(n));
  }

  override async send(_: string, path: string, body?: unknown): Promise<PhoenixAnswer> {
    const json = path === '/graphql' ? { data: this.graph(body as Query) } : this.rest(path);
    return { status: 200, contentType: 'application/json', body: JSON.stringify(json) };
  }

  private rest(path: string): object {
    const [place = '', text] = path.split('?');
    if (!place.endsWith('/spans')) return { data: { id: 'P', name: place.split('/').at(-1) } };
    const query = new URLSearchParams(text);
    const wanted = query.getAll('span_id');
    if (wanted.length === 0) return { data: this.spans.slice(-1), next_cursor: null };
    return { data: this.spans.filter(({ context }) => wanted.includes(context.span_id)) };
  }

  private graph({ query, variables }: Query): object {
    const counts = [{ name: 'correctness', count: this.spans.length }];
    if (query.includes('recordCount')) return { getProjectByName: { recordCount: this.spans.length } };
    if (query.includes('AnnotationNameCounts'))
      return { getProjectByName: { span: counts, trace: [], session: [] } };
    const from = Number(variables['after'] ?? 0);
    const nodes = this.spans.slice(from, from + Math.min(2, variables['first'] as number));
    const next = from + nodes.length;
    return {
      getProjectByName: {
        spans: {
          pageInfo: { hasNextPage: next < this.spans.length, endCursor: String(next) },
          edges: nodes.map(({ name, context, attributes }) => ({
            node: {
              name,
              spanId: context.span_id,
              attributes: JSON.stringify(attributes),
              spanAnnotations: [ANNOTATION],
              documentEvaluations: [],
            },
          })),
        },
      },
    };
  }
}

const ANNOTATION = {
  name: 'correctness',
  annotatorKind: 'LLM',
  label: 'good',
  score: 0.5,
  explanation: null,
  metadata: {},
  identifier: '',
  source: 'API',
  createdAt: WHEN,
  updatedAt: WHEN,
};

function spanOf(n: number) {
  return {
    name: `span ${n}`,
    context: {
      trace_id: n.toString(16).padStart(32, 'a'),
      span_id: n.toString(16).padStart(16, 'b'),
    },
    span_kind: 'CHAIN',
    parent_id: null,
    start_time: WHEN,
    end_time: WHEN,
    status_code: 'OK',
    status_message: '',
    attributes: { top_k: n },
    events: [],
  };
}
