import { type CheckState, INSTALLATION_CHECKS, TENANT_CHECKS, isAtLeast } from '../domain/health/checks.js';
import type { TenantId } from '../domain/ids.js';
import type { TenantState } from '../domain/states.js';
import { type Alert, openAlerts } from '../registry/alerts.js';
import type { Pool } from '../registry/database.js';
import {
  type CheckReport,
  type HealthReport,
  installationReport,
  tenantReports,
} from '../registry/healthReports.js';
import type { TenantRow } from '../registry/tenants.js';

/** How a tenant is, by the last look at it. */
export interface TenantHealth {
  readonly tenant: TenantId;
  readonly state: TenantState;
  /** Nothing to do: no alert of severity warning or worse that is not silenced, and every check could be made. */
  readonly ok: boolean;
  readonly schemas: CheckState;
  readonly config: CheckState;
  readonly memory: CheckState;
  readonly phoenixProject: CheckState;
  /** All that was looked at. */
  readonly checks: Readonly<Record<string, CheckReport>>;
  /** When, ISO 8601; null: not yet. */
  readonly checkedAt: string | null;
  /** The worst first. */
  readonly alerts: readonly Alert[];
}

export interface HealthAnswer {
  readonly ok: boolean;
  readonly installation: {
    readonly checks: Readonly<Record<string, CheckReport>>;
    readonly checkedAt: string | null;
    readonly alerts: readonly Alert[];
  };
  readonly tenants: readonly TenantHealth[];
}

/** What the last looks found: of these tenants, and of the installation, which counts where all are asked for. */
export async function healthAnswer(
  pool: Pool,
  rows: readonly TenantRow[],
  all: boolean,
): Promise<HealthAnswer> {
  const lives = rows.map(({ incarnation }) => incarnation);
  const [reports, installation, alerts] = await Promise.all([
    tenantReports(pool, lives),
    installationReport(pool),
    openAlerts(pool, all ? 'all' : { lives: [...lives, null] }),
  ]);
  const byLife = Map.groupBy(alerts, ({ incarnation }) => incarnation);
  const tenants = rows.map((row) =>
    tenantHealth(row, reports.get(row.incarnation), byLife.get(row.incarnation) ?? []),
  );
  const shared = byLife.get(null) ?? [];
  return {
    ok: tenants.every(({ ok }) => ok) && (!all || shared.every(isQuiet)),
    installation: {
      checks: inOrder(installation?.checks ?? {}, INSTALLATION_CHECKS),
      checkedAt: installation?.checkedAt ?? null,
      alerts: shared,
    },
    tenants,
  };
}

function tenantHealth(
  { tenant, state }: TenantRow,
  report: HealthReport | undefined,
  alerts: readonly Alert[],
): TenantHealth {
  const checks = inOrder(report?.checks ?? {}, TENANT_CHECKS);
  const of = (check: string): CheckState => checks[check]?.state ?? 'unknown';
  const known = report !== undefined && Object.values(checks).every((check) => check.state !== 'unknown');
  return {
    ...{ tenant, state, ok: known && alerts.every(isQuiet) },
    ...{ schemas: of('schemas'), config: of('config'), memory: of('memory'), phoenixProject: of('phoenix') },
    ...{ checks, checkedAt: report?.checkedAt ?? null, alerts },
  };
}

/** jsonb keeps no order of its own. */
function inOrder(
  checks: Readonly<Record<string, CheckReport>>,
  names: readonly string[],
): Readonly<Record<string, CheckReport>> {
  return Object.fromEntries(
    names.flatMap((name) => (checks[name] === undefined ? [] : [[name, checks[name]]])),
  );
}

/** Nothing that a person need see to now. */
function isQuiet({ severity, silencedUntil }: Alert): boolean {
  return silencedUntil !== null || !isAtLeast(severity, 'warning');
}
