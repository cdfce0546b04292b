import { z } from 'zod';
import { type PhoenixClient, checkProjectName, read, requireStatus, unexpected } from './client.js';

const annotation = z.object({
  name: z.string(),
  annotatorKind: z.enum(['LLM', 'CODE', 'HUMAN']),
  label: z.string().nullable(),
  score: z.number().nullable(),
  identifier: z.string(),
  metadata: z.record(z.string(), z.unknown()).catch({}),
  updatedAt: z.string(),
});
/** An annotation of a span as Phoenix has it. */
export type StoredAnnotation = Readonly<z.infer<typeof annotation>>;

const ANNOTATIONS = `query Annotations($name: String!, $first: Int!, $filter: String!) {
  getProjectByName(name: $name) { spans(first: $first, filterCondition: $filter) { edges { node {
    spanId spanAnnotations { name annotatorKind label score identifier metadata updatedAt }
  } } } }
}`;
const annotationsShape = z.object({
  getProjectByName: z
    .object({
      spans: z.object({
        edges: z.array(
          z.object({ node: z.object({ spanId: z.string(), spanAnnotations: z.array(annotation) }) }),
        ),
      }),
    })
    .nullable(),
});
const MAX_SPANS = 200;

/**
 * What is annotated of these spans of a project. By GraphQL, as REST answers 404 for all when one span is gone.
 *
 * @param spanIds 16 hex digits each
 * @returns an entry for each span that the project has
 */
export async function readAnnotations(
  phoenix: PhoenixClient,
  project: string,
  spanIds: readonly string[],
): Promise<Map<string, readonly StoredAnnotation[]>> {
  const found = new Map<string, readonly StoredAnnotation[]>();
  for (let from = 0; from < spanIds.length; from += MAX_SPANS) {
    const some = spanIds.slice(from, from + MAX_SPANS);
    // Phoenix's conditions are Python expressions: a JSON string is a string there too.
    const filter = `span_id in [${some.map((id) => JSON.stringify(id)).join(', ')}]`;
    const variables = { name: checkProjectName(project), first: some.length, filter };
    const { getProjectByName: there } = await phoenix.graphql(ANNOTATIONS, variables, annotationsShape);
    for (const { node } of there?.spans.edges ?? []) found.set(node.spanId, node.spanAnnotations);
  }
  return found;
}

/** One of the same span, name and identifier takes the former's place. */
export interface NewAnnotation {
  readonly spanId: string;
  readonly name: string;
  readonly kind: 'LLM' | 'CODE';
  /** Whose it is: never empty, as that is a person's. */
  readonly identifier: string;
  readonly label: string;
  /** 0 to 1. */
  readonly score?: number;
  readonly explanation?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

const PATH = '/v1/span_annotations?sync=true';
const stored = z.object({ data: z.array(z.object({ id: z.string() })) });

/**
 * Writes annotations; Phoenix answers when they are in its database. The caller knows that the spans are of its project:
 * span ids are global. A span that is gone by now is passed over.
 *
 * @returns how many were stored
 */
export async function writeAnnotations(
  phoenix: PhoenixClient,
  annotations: readonly NewAnnotation[],
): Promise<number> {
  if (annotations.length === 0) return 0;
  const answer = await phoenix.send('POST', PATH, { data: annotations.map(toRow) });
  if (answer.status === 404) {
    // One missing span, and none of the batch was stored.
    if (annotations.length === 1) return 0;
    const half = Math.ceil(annotations.length / 2);
    return (
      (await writeAnnotations(phoenix, annotations.slice(0, half))) +
      (await writeAnnotations(phoenix, annotations.slice(half)))
    );
  }
  requireStatus(answer, 200);
  const { data } = read(answer, stored, `POST ${PATH}`);
  if (data.length !== annotations.length) throw unexpected(answer);
  return data.length;
}

function toRow({ spanId, name, kind, identifier, label, score, explanation, metadata }: NewAnnotation) {
  return {
    span_id: spanId,
    name,
    annotator_kind: kind,
    identifier,
    result: { label, score: score ?? null, explanation: explanation ?? null },
    metadata: metadata ?? {},
  };
}
