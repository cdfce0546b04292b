import type { Incarnation } from '../domain/ids.js';
import type { Optimization } from '../domain/optimization.js';
import type { Queryable } from './database.js';
import { storableJson, storableText } from './storable.js';

/** How the last run of a kind ended. */
export interface OptimizationRun {
  /** ISO 8601. */
  readonly at: string;
  readonly outcome: 'done' | 'skipped' | 'failed';
  /** Spans evaluated, labels given, or 1 for a new configuration. */
  readonly count: number;
  readonly why?: string;
}

export interface OptimizationState {
  /** Null: it has no schedules. */
  readonly slot: number | null;
  readonly runs: Readonly<Partial<Record<Optimization, OptimizationRun>>>;
  /** ISO 8601. */
  readonly retrainedAt: string | null;
}

/** Serializes the handing out of slots. */
const LOCK = 7_301_120;

/** The life's slot, the smallest free one when it has none. Must run in a transaction. */
export async function takeSlot(tx: Queryable, incarnation: Incarnation): Promise<number> {
  await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
  const { rows } = await tx.query<{ slot: number }>(
    `insert into optimization_states (incarnation, slot)
     values ($1, (select min(n) from generate_series(0, (select count(*) from optimization_states)) n
       where not exists (select 1 from optimization_states where slot = n)))
     on conflict (incarnation) do update set slot = coalesce(optimization_states.slot, excluded.slot)
     returning slot`,
    [incarnation],
  );
  return rows[0]!.slot;
}

export async function freeSlot(db: Queryable, incarnation: Incarnation): Promise<void> {
  await db.query('update optimization_states set slot = null where incarnation = $1', [incarnation]);
}

export async function optimizationState(db: Queryable, incarnation: Incarnation): Promise<OptimizationState> {
  const { rows } = await db.query<OptimizationState>(
    `select slot, runs, to_json(retrained_at)#>>'{}' as "retrainedAt" from optimization_states
     where incarnation = $1`,
    [incarnation],
  );
  return rows[0] ?? { slot: null, runs: {}, retrainedAt: null };
}

/** How a run ended; the last one stays. */
export async function noteRun(
  db: Queryable,
  incarnation: Incarnation,
  what: Optimization,
  run: Omit<OptimizationRun, 'at'>,
): Promise<void> {
  const noted = { ...run, at: new Date().toISOString() };
  await db.query(
    `insert into optimization_states (incarnation, runs) values ($1, jsonb_build_object($2::text, $3::jsonb))
     on conflict (incarnation) do update set runs = optimization_states.runs || excluded.runs`,
    [incarnation, what, JSON.stringify(storableJson(noted))],
  );
}

/** Everything of a name that Phoenix stored before the cursor is evaluated; null: nothing is known. */
export interface Watermark {
  readonly cursor: string | null;
  /** When it was read, by the database's clock. */
  readonly readAt: string;
}

export async function watermarkOf(
  db: Queryable,
  incarnation: Incarnation,
  spanName: string,
): Promise<Watermark> {
  const { rows } = await db.query<Watermark>(
    `select to_json(now())#>>'{}' as "readAt", (select cursor from span_watermarks
       where incarnation = $1 and span_name = $2) as cursor`,
    [incarnation, spanName],
  );
  return rows[0]!;
}

/** The same, and nobody moves it until the transaction ends. */
export async function lockWatermark(
  tx: Queryable,
  incarnation: Incarnation,
  spanName: string,
): Promise<string | null> {
  await tx.query(
    'insert into span_watermarks (incarnation, span_name) values ($1, $2) on conflict do nothing',
    [incarnation, spanName],
  );
  const { rows } = await tx.query<{ cursor: string | null }>(
    'select cursor from span_watermarks where incarnation = $1 and span_name = $2 for update',
    [incarnation, spanName],
  );
  return rows[0]!.cursor;
}

/** Which of these are evaluated already. */
export async function evaluatedAmong(
  db: Queryable,
  incarnation: Incarnation,
  spanName: string,
  spanIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ spanId: string }>(
    `select span_id as "spanId" from evaluated_spans
     where incarnation = $1 and span_name = $2 and span_id = any($3)`,
    [incarnation, spanName, spanIds],
  );
  return new Set(rows.map(({ spanId }) => spanId));
}

/** @returns how many were not noted before */
export async function noteEvaluated(
  tx: Queryable,
  incarnation: Incarnation,
  spanName: string,
  spanIds: readonly string[],
): Promise<number> {
  const { rowCount } = await tx.query(
    `insert into evaluated_spans (incarnation, span_name, span_id)
     select $1, $2, unnest($3::text[]) on conflict do nothing`,
    [incarnation, spanName, spanIds],
  );
  return rowCount ?? 0;
}

/** Moves a watermark that is locked; what lies before the new one needs no note any more. */
export async function moveWatermark(
  tx: Queryable,
  incarnation: Incarnation,
  spanName: string,
  to: string | null,
  passed: readonly string[],
): Promise<void> {
  await tx.query('update span_watermarks set cursor = $3 where incarnation = $1 and span_name = $2', [
    incarnation,
    spanName,
    to,
  ]);
  await tx.query(
    'delete from evaluated_spans where incarnation = $1 and span_name = $2 and span_id = any($3)',
    [incarnation, spanName, passed],
  );
}

/** Forgets notes of spans that Phoenix no longer has: those from before a time, but for these. */
export async function keepEvaluated(
  tx: Queryable,
  incarnation: Incarnation,
  spanName: string,
  present: readonly string[],
  notedBefore: string,
): Promise<void> {
  await tx.query(
    `delete from evaluated_spans
     where incarnation = $1 and span_name = $2 and noted_at < $4 and span_id <> all($3)`,
    [incarnation, spanName, present, notedBefore],
  );
}

const RETRAINING = `to_json(at)#>>'{}' as at, applied, why, from_version as "fromVersion", to_version as "toVersion", figures`;

/** A verdict of the learner. */
export interface Retraining {
  /** ISO 8601. */
  readonly at: string;
  readonly applied: boolean;
  readonly why: string;
  readonly fromVersion: number;
  readonly toVersion: number | null;
  readonly figures: Readonly<Record<string, unknown>>;
}

/** Writes a verdict, and that labels up to now are no longer new. */
export async function noteRetraining(
  tx: Queryable,
  incarnation: Incarnation,
  run: string,
  verdict: Omit<Retraining, 'at'>,
): Promise<void> {
  await tx.query(
    `insert into retrainings (incarnation, run, applied, why, from_version, to_version, figures)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      ...[incarnation, run, verdict.applied, storableText(verdict.why)],
      ...[verdict.fromVersion, verdict.toVersion, JSON.stringify(storableJson(verdict.figures))],
    ],
  );
  await tx.query(
    `insert into optimization_states (incarnation, retrained_at) values ($1, now())
     on conflict (incarnation) do update set retrained_at = excluded.retrained_at`,
    [incarnation],
  );
}

/** What a run of a workflow came to, if it came to a verdict. */
export async function retrainingOf(
  db: Queryable,
  incarnation: Incarnation,
  run: string,
): Promise<Retraining | undefined> {
  const { rows } = await db.query<Retraining>(
    `select ${RETRAINING} from retrainings where incarnation = $1 and run = $2`,
    [incarnation, run],
  );
  return rows[0];
}

/** Newest first. */
export async function listRetrainings(
  db: Queryable,
  incarnation: Incarnation,
  limit: number,
): Promise<Retraining[]> {
  const { rows } = await db.query<Retraining>(
    `select ${RETRAINING} from retrainings where incarnation = $1 order by at desc limit $2`,
    [incarnation, limit],
  );
  return rows;
}
