import { createHash } from 'node:crypto';
import type { TenantId } from '../../../src/domain/ids.js';
import type { TenantState } from '../../../src/domain/states.js';
import type { Lane } from './lane.js';
import type { VespaStandIn } from './vespa.js';

export interface Snapshot {
  readonly state: TenantState;
  /** SHA-256 over everything there is of the present life, wherever it lies. */
  readonly digest: string;
  /** Physical names, by the registry. */
  readonly schemas: readonly string[];
}

interface Found {
  readonly tenant: TenantId;
  readonly state: TenantState;
  readonly project: string;
  readonly rows: string;
  readonly schemas: string[];
  readonly schedules: string[];
}

/** Every row of the present life of each id, else of its last one. */
const LIVES = `
  select t.tenant, t.state, t.phoenix_project as project,
    jsonb_build_array(t::text,
      array(select s::text from tenant_schemas s where s.incarnation = t.incarnation order by 1),
      array(select c::text from config_versions c where c.incarnation = t.incarnation order by 1),
      array(select i::text from operations o join ingest_items i using (operation)
        where o.tenant = t.tenant and o.incarnation = t.incarnation order by 1),
      array(select v::text from videos v where v.incarnation = t.incarnation order by 1),
      array(select p::text from tenant_schedules p where p.incarnation = t.incarnation order by 1)
    )::text as rows,
    array(select schema_name from tenant_schemas s where s.incarnation = t.incarnation order by 1) as schemas,
    array(select schedule_id from tenant_schedules p where p.incarnation = t.incarnation order by 1) as schedules
  from (
    select distinct on (tenant) * from tenants where tenant = any($1)
    order by tenant, (state not in ('purged', 'creation_failed')) desc, created_at desc
  ) t`;

/** @returns no entry for an id that never had a life */
export async function snapshots(
  lane: Lane,
  vespa: VespaStandIn,
  tenants: readonly TenantId[],
): Promise<Map<TenantId, Snapshot>> {
  const { rows: found } = await lane.pool.query<Found>(LIVES, [tenants]);
  return new Map(
    found.map(({ tenant, state, project, rows, schemas, schedules }) => {
      const outside = JSON.stringify([
        schemas.map((name) => vespa.contentOf(name)),
        schedules.map((id) => lane.temporal.contentOf(id)),
        lane.phoenix.contentOf(project),
      ]);
      const digest = createHash('sha256').update(rows).update(outside).digest('hex');
      return [tenant, { state, digest, schemas }];
    }),
  );
}
