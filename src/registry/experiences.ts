import type { Label, ReviewPriority } from '../domain/optimization.js';
import type { Agent, Ballot } from '../domain/routing.js';
import type { Incarnation } from '../domain/ids.js';
import { type Pool, type Queryable, transaction } from './database.js';
import { storableJson, storableText } from './storable.js';
import { type TenantLife, lockLife } from './tenants.js';

/** A decision of the router, as it is kept to learn from. */
export interface Experience {
  /** 16 hex digits: of the span in Phoenix, if one was sent. */
  readonly spanId: string;
  /** ISO 8601. */
  readonly at: string;
  readonly query: string;
  readonly agent: Agent;
  readonly confidence: number;
  /** Whether the span says that it failed. */
  readonly failed: boolean;
  readonly ballots: readonly Ballot[];
}

/** With what has become of it since. */
export interface StoredExperience extends Experience {
  readonly label: Label['label'] | null;
  readonly labelKind: Label['kind'] | null;
  readonly expected: Agent | null;
  readonly judgeTries: number;
  readonly review: ReviewPriority | null;
}

const COLUMNS = `span_id as "spanId", to_json(at)#>>'{}' as at, query, agent, confidence, failed, ballots, label,
  label_kind as "labelKind", expected_agent as expected, judge_tries as "judgeTries", review`;

/**
 * Puts decisions into a life's buffer; one that is in it stays as it is. What is more than `size` leaves, oldest first.
 *
 * @returns how many were new
 * @throws OpsError `NotFound`, `WrongState` unless the life is active
 */
export async function addExperiences(
  pool: Pool,
  life: TenantLife,
  size: number,
  experiences: readonly Experience[],
): Promise<number> {
  if (experiences.length === 0) return 0;
  return transaction(pool, (tx) => addExperiencesIn(tx, life, size, experiences));
}

/** The same within a transaction. */
export async function addExperiencesIn(
  tx: Queryable,
  life: TenantLife,
  size: number,
  experiences: readonly Experience[],
): Promise<number> {
  const { incarnation } = life;
  await lockLife(tx, life, 'route');
  await tx.query('insert into routing_buffers (incarnation) values ($1) on conflict do nothing', [
    incarnation,
  ]);
  const { rows } = await tx.query<{ last: number }>(
    'select last from routing_buffers where incarnation = $1 for update',
    [incarnation],
  );
  const before = rows[0]!.last;
  // Nobody else adds to the buffer while its row is locked: what is not there now is new, and numbers have no gaps.
  const { rowCount } = await tx.query(
    `insert into routing_experiences (incarnation, span_id, seq, at, query, agent, confidence, failed, ballots)
     select $1, e->>'spanId', $2 + row_number() over (order by n), (e->>'at')::timestamptz, e->>'query', e->>'agent',
       (e->>'confidence')::float8, (e->>'failed')::boolean, e->'ballots'
     from jsonb_array_elements($3::jsonb) with ordinality as given(e, n)
     where not exists (select from routing_experiences there
       where there.incarnation = $1 and there.span_id = e->>'spanId')`,
    [incarnation, before, JSON.stringify(storableJson(experiences))],
  );
  const added = rowCount ?? 0;
  if (added === 0) return 0;
  const last = before + added;
  await tx.query('update routing_buffers set last = $2 where incarnation = $1', [incarnation, last]);
  await tx.query('delete from routing_experiences where incarnation = $1 and seq <= $2', [
    incarnation,
    last - size,
  ]);
  return added;
}

/** Newest first. */
export async function listExperiences(
  db: Queryable,
  incarnation: Incarnation,
  options: { readonly limit: number; readonly labelled?: boolean },
): Promise<StoredExperience[]> {
  const { rows } = await db.query<StoredExperience>(
    `select ${COLUMNS} from routing_experiences
     where incarnation = $1 and (not $3 or expected_agent is not null) order by seq desc limit $2`,
    [incarnation, options.limit, options.labelled ?? false],
  );
  return rows;
}

/** Those without a label that may be shown to the judge now, or have no priority for a person yet; newest first. */
export async function unlabelledExperiences(
  db: Queryable,
  incarnation: Incarnation,
  limit: number,
): Promise<StoredExperience[]> {
  const { rows } = await db.query<StoredExperience>(
    `select ${COLUMNS} from routing_experiences
     where incarnation = $1 and label is null and (judge_after is null or judge_after <= now())
     order by seq desc limit $2`,
    [incarnation, limit],
  );
  return rows;
}

/** @returns whether it changed: a label counts as new from then on */
export async function setLabel(
  db: Queryable,
  incarnation: Incarnation,
  spanId: string,
  label: Label | undefined,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update routing_experiences set label = $3, label_kind = $4, expected_agent = $5,
       labelled_at = case when $3::text is null then null else now() end
     where incarnation = $1 and span_id = $2
       and (label is distinct from $3 or label_kind is distinct from $4 or expected_agent is distinct from $5)`,
    [incarnation, spanId, label?.label ?? null, label?.kind ?? null, label?.expected ?? null],
  );
  return rowCount === 1;
}

export async function setReview(
  db: Queryable,
  incarnation: Incarnation,
  spanId: string,
  review: ReviewPriority,
): Promise<void> {
  await db.query('update routing_experiences set review = $3 where incarnation = $1 and span_id = $2', [
    incarnation,
    spanId,
    review,
  ]);
}

/** @param retryAfterSeconds when the judge may be asked about it again */
export async function noteJudgeFailure(
  db: Queryable,
  incarnation: Incarnation,
  spanId: string,
  failure: string,
  retryAfterSeconds: number,
): Promise<void> {
  await db.query(
    `update routing_experiences set judge_tries = judge_tries + 1, judge_failure = $3,
       judge_after = now() + make_interval(secs => $4)
     where incarnation = $1 and span_id = $2`,
    [incarnation, spanId, storableText(failure), retryAfterSeconds],
  );
}

export interface ExperienceCounts {
  readonly kept: number;
  readonly labelled: number;
  /** Usable labels since the last retraining. */
  readonly fresh: number;
}

export async function countExperiences(
  db: Queryable,
  incarnation: Incarnation,
  since: string | null,
): Promise<ExperienceCounts> {
  const { rows } = await db.query<ExperienceCounts>(
    `select count(*) as kept, count(label) as labelled,
       count(*) filter (where expected_agent is not null and ($2::timestamptz is null or labelled_at > $2)) as fresh
     from routing_experiences where incarnation = $1`,
    [incarnation, since],
  );
  return rows[0]!;
}
