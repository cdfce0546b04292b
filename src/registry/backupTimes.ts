import type { Incarnation, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';

/** How fresh and how well proven the backups of a tenant's present life are. Times in ISO 8601; null: never. */
export interface BackupTimes {
  readonly tenant: TenantId;
  /** When the newest complete one began: what was written before is in it. */
  readonly backedUpAt: string | null;
  /** When one that is complete was last read whole and found sound. */
  readonly verifiedAt: string | null;
  /** When one was last restored into a throw-away tenant and found equal, whether or not it is still there. */
  readonly provenAt: string | null;
}

/** Of every tenant that is active or inactive; of a purged one's present life, when it is named. */
export async function backupTimes(db: Queryable, incarnation?: Incarnation): Promise<BackupTimes[]> {
  const { rows } = await db.query<BackupTimes>(
    `select t.tenant,
       to_json(max(b.started_at) filter (where b.state = 'complete'))#>>'{}' as "backedUpAt",
       to_json(max(b.verified_at) filter (where b.state = 'complete' and b.sound))#>>'{}' as "verifiedAt",
       to_json(max(b.proven_at))#>>'{}' as "provenAt"
     from tenants t left join backups b using (incarnation)
     where case when $1::uuid is null then t.state in ('active', 'inactive') else t.incarnation = $1 end
     group by t.tenant, t.incarnation order by t.tenant`,
    [incarnation ?? null],
  );
  return rows;
}
