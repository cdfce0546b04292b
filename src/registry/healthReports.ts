import type { CheckState } from '../domain/health/checks.js';
import type { Incarnation } from '../domain/ids.js';
import type { Queryable } from './database.js';
import { storableJson } from './storable.js';

/** How a check came out, and why where that is not plain. */
export interface CheckReport {
  readonly state: CheckState;
  readonly why?: string;
}

export interface HealthReport {
  /** ISO 8601. */
  readonly checkedAt: string;
  readonly checks: Readonly<Record<string, CheckReport>>;
}

/** A row of the audit log. */
export interface NotedHead {
  readonly seq: number;
  readonly hash: string;
}

const COLUMNS = `to_json(checked_at)#>>'{}' as "checkedAt", checks`;

/** Callers of one life take turns (`settleAlerts`). @param incarnation null: of the installation */
export async function putHealthReport(
  db: Queryable,
  incarnation: Incarnation | null,
  checks: HealthReport['checks'],
  audited?: NotedHead,
): Promise<void> {
  const values = [
    incarnation,
    JSON.stringify(storableJson(checks)),
    audited?.seq ?? null,
    audited?.hash ?? null,
  ];
  const { rowCount } = await db.query(
    `update health_reports set checked_at = now(), checks = $2,
       audit_seq = coalesce($3, audit_seq), audit_head = coalesce($4, audit_head)
     where incarnation is not distinct from $1`,
    values,
  );
  if (rowCount === 0)
    await db.query(
      `insert into health_reports (incarnation, checked_at, checks, audit_seq, audit_head)
       values ($1, now(), $2, $3, $4)`,
      values,
    );
}

export async function installationReport(
  db: Queryable,
): Promise<(HealthReport & { readonly audited: NotedHead | null }) | undefined> {
  const { rows } = await db.query<HealthReport & { audited: NotedHead | null }>(
    `select ${COLUMNS},
       case when audit_seq is not null then json_build_object('seq', audit_seq, 'hash', audit_head) end as audited
     from health_reports where incarnation is null`,
  );
  return rows[0];
}

/** By life, of those named. */
export async function tenantReports(
  db: Queryable,
  lives: readonly Incarnation[],
): Promise<Map<Incarnation, HealthReport>> {
  const { rows } = await db.query<HealthReport & { incarnation: Incarnation }>(
    `select incarnation, ${COLUMNS} from health_reports where incarnation = any($1)`,
    [lives],
  );
  return new Map(rows.map(({ incarnation, ...report }) => [incarnation, report]));
}
