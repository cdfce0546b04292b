import type { Incarnation, OperationId, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';

/** One tenant of a rollout over many. */
export interface RolloutItem {
  readonly item: number;
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly wave: number;
  readonly state: 'pending' | 'done' | 'failed' | 'skipped';
  readonly reason: string | null;
  /** Physical schemas that the package has of it after the wave. */
  readonly schemas: readonly string[];
}

/** Writes down whom a rollout is for, in its order; again is fine. */
export async function addRolloutItems(
  tx: Queryable,
  operation: OperationId,
  items: readonly Pick<RolloutItem, 'item' | 'tenant' | 'incarnation' | 'wave'>[],
): Promise<void> {
  await tx.query(
    `insert into rollout_items (operation, item, tenant, incarnation, wave)
     select $1, i.item, i.tenant, i.incarnation, i.wave
     from jsonb_to_recordset($2::jsonb) as i(item int, tenant text, incarnation uuid, wave int) on conflict do nothing`,
    [operation, JSON.stringify(items)],
  );
}

const COLUMNS = 'item, tenant, incarnation, wave, state, reason, schemas';

export async function rolloutItems(
  db: Queryable,
  operation: OperationId,
  wave?: number,
): Promise<RolloutItem[]> {
  const { rows } = await db.query<RolloutItem>(
    `select ${COLUMNS} from rollout_items where operation = $1 and ($2::int is null or wave = $2) order by item`,
    [operation, wave ?? null],
  );
  return rows;
}

/** Ends an item, once. */
export async function endRolloutItem(
  db: Queryable,
  operation: OperationId,
  item: number,
  end: {
    readonly state: 'done' | 'failed' | 'skipped';
    readonly reason?: string;
    readonly schemas?: readonly string[];
  },
): Promise<void> {
  await db.query(
    `update rollout_items set state = $3, reason = $4, schemas = $5, ended_at = now()
     where operation = $1 and item = $2 and state = 'pending'`,
    [operation, item, end.state, end.reason ?? null, end.schemas ?? []],
  );
}

/** Ends every item that nothing more is done for. */
export async function skipPendingItems(db: Queryable, operation: OperationId, reason: string): Promise<void> {
  await db.query(
    `update rollout_items set state = 'skipped', reason = $2, ended_at = now()
     where operation = $1 and state = 'pending'`,
    [operation, reason],
  );
}

export async function countRollout(
  db: Queryable,
  operation: OperationId,
): Promise<Record<RolloutItem['state'], number>> {
  const { rows } = await db.query<{ state: RolloutItem['state']; n: number }>(
    'select state, count(*) as n from rollout_items where operation = $1 group by state',
    [operation],
  );
  return {
    pending: 0,
    done: 0,
    failed: 0,
    skipped: 0,
    ...Object.fromEntries(rows.map((r) => [r.state, r.n])),
  };
}
