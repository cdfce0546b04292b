import { z } from 'zod';
import { type PhoenixClient, checkProjectName } from './client.js';

const storedSpan = z.object({
  name: z.string(),
  context: z.object({ trace_id: z.string(), span_id: z.string() }),
  span_kind: z.string(),
  parent_id: z.string().nullish(),
  /** ISO 8601, to the microsecond. */
  start_time: z.string(),
  end_time: z.string(),
  status_code: z.string(),
  status_message: z.string(),
  /** Flat: `tenant.id` is a key. */
  attributes: z.record(z.string(), z.unknown()),
});
const spanPageShape = z.object({ data: z.array(storedSpan), next_cursor: z.string().nullish() });

/** A span as Phoenix keeps it. Ids are global: no two projects of a server hold one trace or span id. */
export type StoredSpan = Readonly<z.infer<typeof storedSpan>>;

export interface SpanFilter {
  /** On the span's start: from inclusive, to exclusive. */
  readonly from?: Date;
  readonly to?: Date;
  /** Only spans without a parent. */
  readonly roots?: boolean;
  readonly name?: string;
  readonly traceId?: string;
  readonly spanId?: string;
  /** A flat attribute that is this text. */
  readonly attribute?: readonly [key: string, value: string];
}

export interface SpanPage {
  readonly spans: readonly StoredSpan[];
  /** To go on after this page; undefined at the end. Good only for the same filter and order. */
  readonly next: string | undefined;
}

/** As many as Phoenix gives at most; pages of this size read about 3,500 spans/s. */
const MAX_PAGE = 1000;

/**
 * @param options.order by the order of storing: `asc` is stable while spans arrive, the default is newest first
 * @returns undefined when there is no such project
 */
export async function spanPage(
  phoenix: PhoenixClient,
  project: string,
  options: SpanFilter & {
    readonly after?: string | undefined;
    readonly limit?: number;
    readonly order?: 'asc' | 'desc';
  } = {},
): Promise<SpanPage | undefined> {
  const query = new URLSearchParams({ limit: String(options.limit ?? MAX_PAGE), sort: 'id' });
  query.set('order', options.order ?? 'desc');
  if (options.after !== undefined) query.set('cursor', options.after);
  if (options.from) query.set('start_time', options.from.toISOString());
  if (options.to) query.set('end_time', options.to.toISOString());
  if (options.roots) query.set('parent_id', 'null');
  if (options.name !== undefined) query.set('name', options.name);
  if (options.traceId !== undefined) query.set('trace_id', options.traceId);
  if (options.spanId !== undefined) query.set('span_id', options.spanId);
  // Values are read as JSON: unquoted, a text that looks like a number would be compared as one.
  if (options.attribute)
    query.set('attribute', `${options.attribute[0]}:${JSON.stringify(options.attribute[1])}`);
  const page = await phoenix.get(
    `/v1/projects/${checkProjectName(project)}/spans?${query.toString()}`,
    spanPageShape,
  );
  return page && { spans: page.data, next: page.next_cursor ?? undefined };
}

/** Every span, page by page, in the order of storing. @returns nothing when there is no such project */
export async function* readSpans(
  phoenix: PhoenixClient,
  project: string,
  filter: SpanFilter = {},
  pageSize = MAX_PAGE,
): AsyncGenerator<StoredSpan> {
  let after: string | undefined;
  do {
    const page = await spanPage(phoenix, project, { ...filter, after, limit: pageSize, order: 'asc' });
    if (page === undefined) return;
    yield* page.spans;
    after = page.next;
  } while (after !== undefined);
}

/** Newest first, at most 1,000. @returns undefined when there is no such project */
export async function listSpans(
  phoenix: PhoenixClient,
  project: string,
  limit = 100,
): Promise<StoredSpan[] | undefined> {
  const page = await spanPage(phoenix, project, { limit });
  return page && [...page.spans];
}

const COUNT = `query Count($name: String!, $range: TimeRange!, $filter: String) {
  getProjectByName(name: $name) { recordCount(timeRange: $range, filterCondition: $filter) }
}`;
const countShape = z.object({ getProjectByName: z.object({ recordCount: z.number().int() }).nullable() });

/**
 * How many spans began in a time. The time is never left out: without one Phoenix answers from a cache that may hold
 * the count of a deleted project.
 *
 * @param filter Phoenix's own condition language, such as `parent_id is None`: never made of a user's text
 * @returns undefined when there is no such project
 */
export async function countSpans(
  phoenix: PhoenixClient,
  project: string,
  range: { readonly from: Date; readonly to: Date },
  filter?: string,
): Promise<number | undefined> {
  const variables = {
    name: checkProjectName(project),
    range: { start: range.from.toISOString(), end: range.to.toISOString() },
    filter: filter ?? null,
  };
  return (await phoenix.graphql(COUNT, variables, countShape)).getProjectByName?.recordCount;
}
