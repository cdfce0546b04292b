import { z } from 'zod';
import { OpsError } from '../../domain/errors.js';
import { type PhoenixClient, checkProjectName } from '../../phoenix/client.js';
import { type TracesCall, retrying } from './retrying.js';

/** As many as Phoenix takes in one query. */
const MAX_ALIASES = 50;
const QUERIES = { trace: 'getTraceByOtelId(traceId:', session: 'getProjectSessionById(sessionId:' } as const;

const owners = z.record(z.string(), z.object({ project: z.object({ name: z.string() }) }).nullable());
const presentShape = z.object({
  getProjectByName: z
    .object({ spans: z.object({ edges: z.array(z.object({ node: z.object({ spanId: z.string() }) })) }) })
    .nullable(),
});
const PRESENT = `query Present($name: String!, $first: Int!, $filter: String!) {
  getProjectByName(name: $name) { spans(first: $first, filterCondition: $filter) { edges { node { spanId } } } }
}`;

/** Which of these spans a project holds. */
export async function presentSpans(
  phoenix: PhoenixClient,
  project: string,
  spanIds: readonly string[],
  call: TracesCall,
): Promise<ReadonlySet<string>> {
  // Phoenix's conditions are Python expressions: a JSON string is a string there too.
  const filter = `span_id in [${spanIds.map((id) => JSON.stringify(id)).join(', ')}]`;
  const variables = { name: checkProjectName(project), first: spanIds.length, filter };
  const { getProjectByName: found } = await retrying(call, () =>
    phoenix.graphql(PRESENT, variables, presentShape),
  );
  return new Set(found?.spans.edges.map(({ node }) => node.spanId));
}

/**
 * Trace and session ids are global on a Phoenix server: a span that is sent with the trace id of another project's trace
 * becomes that project's, and one in another project's session is deleted with that.
 *
 * @returns which of the ids there are
 * @throws OpsError `Conflict` when one is of another project
 */
export async function requireOwn(
  phoenix: PhoenixClient,
  project: string,
  kind: keyof typeof QUERIES,
  ids: readonly string[],
  call: TracesCall,
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  for (let i = 0; i < ids.length; i += MAX_ALIASES) {
    const some = ids.slice(i, i + MAX_ALIASES);
    const fields = some.map(
      (id, at) => `a${at}: ${QUERIES[kind]} ${JSON.stringify(id)}) { project { name } }`,
    );
    const found = await retrying(call, () => phoenix.graphql(`{ ${fields.join(' ')} }`, {}, owners));
    for (const [at, id] of some.entries()) {
      const owner = found[`a${at}`]?.project.name;
      if (owner !== undefined && owner !== project) throw foreign(project, `${kind} ${id}`);
      if (owner !== undefined) there.add(id);
    }
  }
  return there;
}

export function foreign(project: string, what: string): OpsError {
  return new OpsError(
    'Conflict',
    `the ${what} is to be restored into the Phoenix project ${project}, but lies in another project of that Phoenix`,
    'restore beside the original under another tenant (--into), which gives new ids, or delete the original first',
  );
}
