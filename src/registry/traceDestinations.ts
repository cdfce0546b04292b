import { SYSTEM_CONFIG } from '../domain/config/keys.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import type { Queryable } from './database.js';

export interface TraceDestination {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly project: string;
  /** Milliseconds since the epoch. */
  readonly livesSince: number;
}

/**
 * Where spans of a tenant go at this moment: the Phoenix project of its present life. Asked before each batch, so that
 * what is switched off, being deleted or being restored gets no span more: one that came after the deletion would bring
 * the project back, one within a restore would be a difference from the backup.
 *
 * @returns undefined when nothing may be sent; null when there is no such tenant yet, as when its creation just began
 */
export async function traceDestination(
  db: Queryable,
  tenant: TenantId,
): Promise<TraceDestination | null | undefined> {
  const { scope, service, key } = SYSTEM_CONFIG;
  const { rows } = await db.query<TraceDestination>(
    `select t.tenant, t.incarnation, t.phoenix_project as project,
       extract(epoch from t.created_at)::float8 * 1000 as "livesSince"
     from tenants t
     where t.tenant = $1 and t.state in ('creating', 'active', 'inactive')
       and coalesce((select c.value->'phoenix_enabled' from config_versions c
         where c.incarnation = t.incarnation and c.scope = $2 and c.service = $3 and c.key = $4
         order by c.version desc limit 1), 'true') <> 'false'
       and not exists (select from operations o where o.state = 'running' and o.kind = 'restoreTenant'
         and (o.incarnation = t.incarnation or o.input->>'into' = t.tenant::text))`,
    [tenant, scope, service, key],
  );
  if (rows[0]) return rows[0];
  const { rowCount } = await db.query(
    `select from tenants where tenant = $1
       and (state in ('creating', 'active', 'inactive', 'purging') or purged_at > now() - interval '1 hour') limit 1`,
    [tenant],
  );
  return rowCount === 0 ? null : undefined;
}
