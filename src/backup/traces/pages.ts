import { z } from 'zod';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, checkProjectName } from '../../phoenix/client.js';
import { parseExact } from './exactJson.js';
import { type TracesCall, retrying } from './retrying.js';

const FIRST_PAGE = 50;
/** Phoenix is slower with longer lists of ids in a URL; larger pages than this gain nothing. */
const MAX_PAGE = 500;
/** Of one answer, in UTF-16 units. */
const PAGE_GOAL = 4 * 1024 * 1024;

/** How far a project is read: to this span, the last one there was. */
export interface SpanBound {
  readonly last: string;
}

/**
 * A project's spans in the order of storing, page by page, up to the bound. Pages hold about as much as memory should,
 * whatever the size of a span: the next one is as long as the last one's spans were short.
 *
 * @param fields what to ask of each span, in GraphQL; `spanId` is asked for by itself
 * @throws OpsError `Unavailable` when the project is gone meanwhile
 */
export async function* spanNodePages<T>(
  phoenix: PhoenixClient,
  project: string,
  fields: string,
  node: z.ZodType<T>,
  bound: SpanBound,
  call: TracesCall,
): AsyncGenerator<readonly (T & { readonly spanId: string })[]> {
  const query = `query Spans($name: String!, $first: Int!, $after: String) {
    getProjectByName(name: $name) { spans(first: $first, after: $after) {
      pageInfo { hasNextPage endCursor } edges { node { spanId ${fields} } }
    } }
  }`;
  const shape = pageShape(z.intersection(z.object({ spanId: z.string() }), node));
  let first = FIRST_PAGE;
  let after: string | null = null;
  for (;;) {
    const { nodes, size, next } = await page(first, after);
    const end = nodes.findIndex(({ spanId }) => spanId === bound.last);
    yield end === -1 ? nodes : nodes.slice(0, end + 1);
    call.heartbeat();
    if (end !== -1 || next === null) return;
    after = next;
    const fitting = Math.floor((nodes.length * PAGE_GOAL) / Math.max(1, size));
    first = Math.max(1, Math.min(MAX_PAGE, 2 * first, fitting));
  }

  async function page(first: number, after: string | null) {
    let size = 0;
    const parse = (text: string) => {
      size = text.length;
      return parseExact(text);
    };
    const variables = { name: checkProjectName(project), first, after };
    const answer = await retrying(call, () => phoenix.graphql(query, variables, shape, parse));
    const spans = answer.getProjectByName?.spans;
    if (spans === undefined)
      throw new OpsError('Unavailable', `the Phoenix project ${project} was deleted while it was read`);
    const { hasNextPage, endCursor } = spans.pageInfo;
    return { nodes: spans.edges.map((edge) => edge.node), size, next: hasNextPage ? endCursor : null };
  }
}

function pageShape<T>(node: z.ZodType<T>) {
  return z.object({
    getProjectByName: z
      .object({
        spans: z.object({
          pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullable() }),
          edges: z.array(z.object({ node })),
        }),
      })
      .nullable(),
  });
}

/** Phoenix's times are UTC, said as `+00:00` or `Z`. */
export function utc(time: string): string {
  return time.replace(/\+00:00$/, 'Z');
}
