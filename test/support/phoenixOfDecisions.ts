import { type PhoenixAnswer, PhoenixClient } from '../../src/phoenix/client.js';
import type { Mortal } from './crashing.js';
import type { routingSpans } from './routingSpans.js';

interface Row {
  readonly span_id: string;
  readonly name: string;
  readonly identifier: string;
  readonly annotator_kind: string;
  readonly result: object;
}

/** Spans of one project and their annotations, as much of a Phoenix as the optimizer looks at. */
export class PhoenixOfDecisions {
  readonly spans: ReturnType<typeof routingSpans> = [];
  /** By span, name and identifier, as Phoenix has them. */
  readonly annotations = new Map<string, Row>();

  /** Each call is a step of the process that makes it. */
  client(mortal: Mortal): PhoenixClient {
    const answer = (path: string, body: unknown) => this.answer(path, body);
    class Client extends PhoenixClient {
      override send(_: string, path: string, body?: unknown): Promise<PhoenixAnswer> {
        return mortal.step(() => ({
          ...{ status: 200, contentType: 'application/json' },
          body: JSON.stringify(answer(path, body)),
        }));
      }
    }
    return new Client('http://phoenix.invalid');
  }

  private answer(path: string, body: unknown): object {
    if (path === '/graphql') return this.graph(body as { variables: { filter: string } });
    if (path.startsWith('/v1/span_annotations')) {
      const { data } = body as { data: Row[] };
      for (const row of data) this.annotations.set(`${row.span_id}/${row.name}/${row.identifier}`, row);
      return { data: data.map((_, id) => ({ id: String(id) })) };
    }
    const query = new URLSearchParams(path.split('?')[1]);
    const [from, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit'))];
    const named = this.spans.filter(({ name }) => name === query.get('name'));
    const end = from + limit;
    return {
      data: named.slice(from, end),
      next_cursor: end < named.length ? String(end) : null,
    };
  }

  private graph({ variables }: { variables: { filter: string } }): object {
    const wanted = this.spans.filter(({ context }) => variables.filter.includes(context.span_id));
    const edges = wanted.map(({ context: { span_id: spanId } }) => ({
      node: {
        spanId,
        spanAnnotations: [...this.annotations.values()]
          .filter((row) => row.span_id === spanId)
          .map(({ name, identifier, annotator_kind: annotatorKind }) => ({
            ...{ name, identifier, annotatorKind, label: 'x', score: null, metadata: {}, updatedAt: '' },
          })),
      },
    }));
    return { data: { getProjectByName: { spans: { edges } } } };
  }
}
