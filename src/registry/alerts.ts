import { type CheckResults, type HealthScope, type Severity, stateOf } from '../domain/health/checks.js';
import { type FoundAlert, type OpenAlert, settle } from '../domain/health/settle.js';
import type { Incarnation, TenantId } from '../domain/ids.js';
import { dropUntold, noteEvent } from './alertEvents.js';
import { type Pool, type Queryable, transaction } from './database.js';
import { type CheckReport, type NotedHead, putHealthReport } from './healthReports.js';
import { storableText } from './storable.js';

/** Something that is, or was, wrong. Times in ISO 8601. */
export interface Alert {
  readonly id: string;
  readonly severity: Severity;
  /** Null: the installation. */
  readonly tenant: TenantId | null;
  readonly incarnation: Incarnation | null;
  readonly check: string;
  readonly message: string;
  /** The command that mends it, or looks into it. */
  readonly fix: string | null;
  readonly openedAt: string;
  readonly lastSeen: string;
  readonly resolvedAt: string | null;
  /** Until when nobody is told of it; null when that is over, too. */
  readonly silencedUntil: string | null;
}

/** How long a resolved alert is kept. */
const KEPT_DAYS = 90;
/** Writers of one scope take turns. */
const LOCK = 7_301_116;

const COLUMNS = `id, severity, tenant, incarnation, check_name as "check", message, fix,
  to_json(opened_at)#>>'{}' as "openedAt", to_json(last_seen)#>>'{}' as "lastSeen", to_json(resolved_at)#>>'{}' as "resolvedAt",
  case when silenced_until > now() then to_json(silenced_until)#>>'{}' end as "silencedUntil"`;

export interface Settled {
  readonly opened: number;
  readonly resolved: number;
}

/** Writes what a look at one scope found: its report, its alerts, and what is to be told of them, in one transaction. */
export async function settleAlerts(
  pool: Pool,
  scope: HealthScope,
  results: CheckResults<string>,
  audited?: NotedHead,
): Promise<Settled> {
  return transaction(pool, async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [LOCK, scope?.incarnation ?? '']);
    const { open, seen, resolve } = settle(scope, await openIn(tx, scope), results);
    for (const alert of open) await noteEvent(tx, await insert(tx, scope, alert), 'opened');
    for (const alert of seen) {
      const id = await see(tx, alert);
      if (alert.raised) await noteEvent(tx, id, 'raised');
    }
    for (const fingerprint of resolve) await resolveAlert(tx, fingerprint);
    const reports = Object.entries(results).flatMap(([check, result]): [string, CheckReport][] =>
      result === undefined
        ? []
        : [[check, { state: stateOf(result), ...('why' in result ? { why: result.why } : {}) }]],
    );
    await putHealthReport(tx, scope?.incarnation ?? null, Object.fromEntries(reports), audited);
    return { opened: open.length, resolved: resolve.length };
  });
}

/** Resolves what is open of lives that are over: purged, or followed by another life of the id. Their reports go. */
export async function settleEndedLives(pool: Pool): Promise<number> {
  return transaction(pool, async (tx) => {
    const { rows } = await tx.query<{ fingerprint: string }>(
      `select fingerprint from alerts a join tenants t using (incarnation)
       where resolved_at is null and (t.state = 'purged' or exists
         (select 1 from tenants n where n.tenant = t.tenant and n.created_at > t.created_at))`,
    );
    for (const { fingerprint } of rows) await resolveAlert(tx, fingerprint);
    await tx.query(
      `delete from health_reports r using tenants t where t.incarnation = r.incarnation and t.state = 'purged'`,
    );
    return rows.length;
  });
}

/** Takes away what was resolved long ago, with what was told of it. */
export async function forgetResolved(pool: Pool): Promise<void> {
  await transaction(pool, async (tx) => {
    const old = `resolved_at < now() - make_interval(days => $1)`;
    await tx.query(`delete from alert_events e using alerts a where a.id = e.alert and ${old}`, [KEPT_DAYS]);
    await tx.query(`delete from alerts where ${old}`, [KEPT_DAYS]);
  });
}

/** The worst first, then the oldest. */
export async function openAlerts(
  db: Queryable,
  of: 'all' | { readonly lives: readonly (Incarnation | null)[] },
): Promise<Alert[]> {
  const lives = of === 'all' ? null : of.lives;
  const { rows } = await db.query<Alert>(
    `select ${COLUMNS} from alerts
     where resolved_at is null and ($1::text[] is null or coalesce(incarnation::text, '') = any($1))
     order by array_position(array['critical', 'warning', 'info'], severity), opened_at, id`,
    [lives?.map((life) => life ?? '') ?? null],
  );
  return rows;
}

/** Newest first, with those that are resolved. */
export async function listAlerts(
  db: Queryable,
  { tenant, limit }: { readonly tenant?: TenantId | undefined; readonly limit: number },
): Promise<Alert[]> {
  const { rows } = await db.query<Alert>(
    `select ${COLUMNS} from alerts where $1::text is null or tenant = $1
     order by resolved_at is not null, opened_at desc, id limit $2`,
    [tenant ?? null, limit],
  );
  return rows;
}

export async function findAlert(db: Queryable, id: string): Promise<Alert | undefined> {
  const { rows } = await db.query<Alert>(`select ${COLUMNS} from alerts where id = $1`, [id]);
  return rows[0];
}

/** @returns the alert; undefined when it is not open */
export async function silenceAlert(db: Queryable, id: string, seconds: number): Promise<Alert | undefined> {
  const { rows } = await db.query<Alert>(
    `update alerts set silenced_until = now() + make_interval(secs => $2) where id = $1 and resolved_at is null
     returning ${COLUMNS}`,
    [id, seconds],
  );
  return rows[0];
}

/** Of those that are not silenced; a severity of which there is none is 0. */
export async function countOpenAlerts(db: Queryable): Promise<Readonly<Record<Severity, number>>> {
  const { rows } = await db.query<{ severity: Severity; count: number }>(
    `select severity, count(*)::int as count from alerts
     where resolved_at is null and coalesce(silenced_until <= now(), true) group by severity`,
  );
  return { info: 0, warning: 0, critical: 0, ...Object.fromEntries(rows.map((r) => [r.severity, r.count])) };
}

async function openIn(tx: Queryable, scope: HealthScope): Promise<OpenAlert[]> {
  const { rows } = await tx.query<OpenAlert>(
    `select fingerprint, check_name as "check", severity from alerts
     where resolved_at is null and incarnation is not distinct from $1`,
    [scope?.incarnation ?? null],
  );
  return rows;
}

async function insert(tx: Queryable, scope: HealthScope, alert: FoundAlert): Promise<string> {
  const { rows } = await tx.query<{ id: string }>(
    `insert into alerts (fingerprint, tenant, incarnation, check_name, severity, message, fix)
     values ($1, $2, $3, $4, $5, $6, $7) returning id`,
    [
      alert.fingerprint,
      scope?.tenant ?? null,
      scope?.incarnation ?? null,
      alert.check,
      alert.severity,
      storableText(alert.message),
      alert.fix ?? null,
    ],
  );
  return rows[0]!.id;
}

async function see(tx: Queryable, { fingerprint, severity, message, fix }: FoundAlert): Promise<string> {
  const { rows } = await tx.query<{ id: string }>(
    `update alerts set last_seen = now(), severity = $2, message = $3, fix = $4
     where fingerprint = $1 and resolved_at is null returning id`,
    [fingerprint, severity, storableText(message), fix ?? null],
  );
  return rows[0]!.id;
}

async function resolveAlert(tx: Queryable, fingerprint: string): Promise<void> {
  const { rows } = await tx.query<{ id: string }>(
    `update alerts set resolved_at = now(), last_seen = now() where fingerprint = $1 and resolved_at is null
     returning id`,
    [fingerprint],
  );
  // Whoever never heard of it need not hear that it is over.
  if (rows[0] !== undefined && (await dropUntold(tx, rows[0].id)))
    await noteEvent(tx, rows[0].id, 'resolved');
}
