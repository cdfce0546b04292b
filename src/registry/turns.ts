import type { OperationId } from '../domain/ids.js';
import type { Queryable } from './database.js';

/** Notes that an ingest is paused, for its turns to end; its workflow decides what is begun. */
export async function setPaused(db: Queryable, operation: OperationId, paused: boolean): Promise<void> {
  await db.query('update operations set paused = $2 where operation = $1 and paused <> $2', [
    operation,
    paused,
  ]);
}

/**
 * Whether a turn may take another video: not when the run is paused, the tenant is neither `active` nor `inactive` any
 * more or fenced, or another ingest runs, of whatever tenant: who goes next is then for Temporal to say after every video.
 */
export async function mayGoOn(db: Queryable, operation: OperationId): Promise<boolean> {
  const { rows } = await db.query<{ goOn: boolean }>(
    `select not o.paused and t.state in ('active', 'inactive') and coalesce(t.fence_until <= now(), true) and not exists (
       select 1 from operations other
       where other.kind = o.kind and other.state = 'running' and other.operation <> o.operation
     ) as "goOn"
     from operations o join tenants t using (incarnation) where o.operation = $1`,
    [operation],
  );
  return rows[0]?.goOn ?? false;
}
