import {
  ANNOTATIONS,
  ANNOTATOR,
  LABEL_SCORES,
  type Outcome,
  outcomeOf,
  searchScore,
} from '../domain/optimization.js';
import { type NewAnnotation, readAnnotations, writeAnnotations } from '../phoenix/annotations.js';
import type { PhoenixClient } from '../phoenix/client.js';
import { type StoredSpan, spanPage } from '../phoenix/storedSpans.js';
import { type Pool, transaction } from '../registry/database.js';
import { type Experience, addExperiencesIn } from '../registry/experiences.js';
import {
  evaluatedAmong,
  keepEvaluated,
  lockWatermark,
  moveWatermark,
  noteEvaluated,
  watermarkOf,
} from '../registry/optimization.js';
import { ROUTING_SPAN, readRoutingSpan } from '../routing/span.js';
import type { Optimized } from './enabled.js';

export const SEARCH_SPAN = 'search_service.search';
const PAGE = 200;

export interface EvaluateResources {
  readonly pool: Pool;
  readonly phoenix: PhoenixClient;
  readonly signal: AbortSignal;
  readonly onProgress: (evaluated: number) => void;
}

/**
 * Evaluates the routing and search spans that Phoenix has stored since the last time. It reads in the order of storing,
 * not of the spans' own times, so that late ones come like any other. Annotations are written first, with an identifier of
 * their own that makes writing them again the same; then, in one transaction, experiences, notes of what is evaluated and
 * the watermark.
 *
 * @returns how many spans were evaluated for the first time
 */
export async function evaluateSpans(resources: EvaluateResources, life: Optimized): Promise<number> {
  let total = 0;
  for (const name of [ROUTING_SPAN, SEARCH_SPAN]) {
    const first = await evaluateTail(resources, life, name);
    total += first.evaluated;
    // What is after the watermark is read again each time. That nothing is says that all of it is gone: by retention, or
    // with a Phoenix that began anew and numbers its spans from one.
    if (first.from === null || first.read > 0) continue;
    await transaction(resources.pool, async (tx) => {
      const { incarnation } = life.row;
      if ((await lockWatermark(tx, incarnation, name)) !== first.from) return;
      await moveWatermark(tx, incarnation, name, null, []);
    });
    total += (await evaluateTail(resources, life, name)).evaluated;
  }
  return total;
}

/** All that was stored after the watermark, page by page. */
async function evaluateTail(
  resources: EvaluateResources,
  life: Optimized,
  name: string,
): Promise<{ evaluated: number; read: number; from: string | null }> {
  const { pool, phoenix, signal, onProgress } = resources;
  const { incarnation, phoenixProject: project } = life.row;
  const { cursor: from, readAt } = await watermarkOf(pool, incarnation, name);
  const done = { evaluated: 0, read: 0, from };
  let watermark = from;
  // The watermark stays a page behind: two Phoenix servers on one database may make a span visible after one with a
  // higher number.
  let before: readonly string[] | undefined;
  for (let after = from; ;) {
    signal.throwIfAborted();
    const page = await spanPage(phoenix, project, {
      ...{ name, limit: PAGE, order: 'asc', after: after ?? undefined },
    });
    if (page === undefined) return done;
    const ids = page.spans.map(({ context }) => context.span_id);
    const known = await evaluatedAmong(pool, incarnation, name, ids);
    const fresh = page.spans.filter(
      ({ context, attributes }) => !known.has(context.span_id) && isOwn(attributes, life),
    );
    await annotate(phoenix, project, name, fresh);
    const isLast = page.next === undefined;
    const to = isLast || before === undefined ? watermark : after;
    const passed = before ?? [];
    const at = watermark;
    const noted = await transaction(pool, async (tx) => {
      // Moved meanwhile: another run is at it, and goes on.
      if ((await lockWatermark(tx, incarnation, name)) !== at) return undefined;
      if (name === ROUTING_SPAN)
        await addExperiencesIn(
          tx,
          life.row,
          life.routing.experience_buffer_size,
          fresh.flatMap(experienceOf),
        );
      const count = await noteEvaluated(tx, incarnation, name, fresh.map(spanIdOf));
      if (to !== at) await moveWatermark(tx, incarnation, name, to, passed);
      if (isLast) await keepEvaluated(tx, incarnation, name, [...passed, ...ids], readAt);
      return count;
    });
    if (noted === undefined) return { ...done, read: done.read + ids.length };
    done.evaluated += noted;
    done.read += ids.length;
    watermark = to;
    onProgress(done.evaluated);
    if (isLast) return done;
    before = ids;
    after = page.next ?? null;
  }
}

/** Of the tenant's present life: a span that says otherwise was put there by somebody else. */
function isOwn(attributes: StoredSpan['attributes'], { row }: Optimized): boolean {
  const [tenant, incarnation] = [attributes['tenant_id'], attributes['incarnation']];
  return (tenant ?? row.tenant) === row.tenant && (incarnation ?? row.incarnation) === row.incarnation;
}

async function annotate(
  phoenix: PhoenixClient,
  project: string,
  name: string,
  spans: readonly StoredSpan[],
): Promise<void> {
  const annotations = spans.flatMap(name === ROUTING_SPAN ? routingEvaluation : searchEvaluation);
  const there = await readAnnotations(
    phoenix,
    project,
    annotations.map(({ spanId }) => spanId),
  );
  const personal = (wanted: NewAnnotation) =>
    there
      .get(wanted.spanId)
      ?.some(
        (each) =>
          each.name === wanted.name &&
          each.identifier === wanted.identifier &&
          each.annotatorKind === 'HUMAN',
      ) ?? false;
  await writeAnnotations(
    phoenix,
    annotations.filter((each) => there.has(each.spanId) && !personal(each)),
  );
}

const SCORES: Readonly<Record<Outcome, number>> = {
  success: LABEL_SCORES.correct_routing,
  ambiguous: LABEL_SCORES.ambiguous,
  failure: LABEL_SCORES.wrong_routing,
};

function routingEvaluation(span: StoredSpan): NewAnnotation[] {
  const said = readRoutingSpan(span.attributes);
  if (said === undefined) return [];
  const { confidence, split } = said;
  const outcome = outcomeOf({ failed: hasFailed(span), confidence, split });
  return [evaluation(span, ANNOTATIONS.routing, outcome, SCORES[outcome])];
}

function searchEvaluation(span: StoredSpan): NewAnnotation[] {
  const results = Number(span.attributes['num_results'] ?? 0);
  const score = searchScore({ failed: hasFailed(span), results });
  const label = hasFailed(span) ? 'failure' : results > 0 ? 'success' : 'empty';
  return [evaluation(span, ANNOTATIONS.search, label, score)];
}

function evaluation(span: StoredSpan, name: string, label: string, score: number): NewAnnotation {
  const { evaluator: identifier } = ANNOTATOR;
  return { spanId: span.context.span_id, name, kind: 'CODE', identifier, label, score };
}

function spanIdOf({ context }: StoredSpan): string {
  return context.span_id;
}

function hasFailed({ status_code: status }: StoredSpan): boolean {
  return status === 'ERROR';
}

/** A router's own experience is in the buffer already; another program's comes in by its span. */
function experienceOf(span: StoredSpan): Experience[] {
  const said = readRoutingSpan(span.attributes);
  if (said === undefined || !/^[0-9a-f]{16}$/.test(span.context.span_id)) return [];
  const { query, agent, confidence, ballots } = said;
  const failed = hasFailed(span);
  return [{ spanId: span.context.span_id, at: span.start_time, query, agent, confidence, failed, ballots }];
}
