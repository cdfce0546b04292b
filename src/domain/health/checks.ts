import type { Incarnation, TenantId } from '../ids.js';
import { DAY_MS } from '../retention.js';

export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What is looked at of a tenant. */
export const TENANT_CHECKS = [
  'schemas',
  'config',
  'memory',
  'phoenix',
  'backups',
  'lifecycle',
  'schedules',
  'operations',
  'quotas',
] as const;
export type TenantCheck = (typeof TENANT_CHECKS)[number];

/** What is looked at of the installation, once for all tenants. */
export const INSTALLATION_CHECKS = [
  'registry',
  'temporal',
  'workers',
  'vespa',
  'phoenix',
  'package',
  'system-schedules',
  'operations',
  'audit',
] as const;
export type InstallationCheck = (typeof INSTALLATION_CHECKS)[number];

/** Outside systems that checks need: while one is away they are unknown, and it has the one alert. */
export const STORES = ['vespa', 'phoenix', 'temporal'] as const;
export type Store = (typeof STORES)[number];

/**
 * How a check came out: `ok`, the severity of the worst that was found, `unknown` when it could not be made (never the same
 * as `ok`), `skipped` when it does not apply to the tenant as it is, `waiting` while an operation changes what it looks at.
 */
export type CheckState = 'ok' | Severity | 'unknown' | 'skipped' | 'waiting';

/** Something that is wrong. */
export interface Finding {
  /** What of the check it is about; with it one alert is told from another: a schema, a schedule, a kind of operation. */
  readonly subject: string;
  readonly severity: Severity;
  readonly message: string;
  /** The command that mends it, or looks into it. */
  readonly fix?: string;
  /** What `diagnose --repair` can do about it. */
  readonly repair?: Repair;
}

/** What is safe to do without asking: nothing is taken away by it, and it can be done twice. */
export type Repair =
  'deploy-schemas' | 'write-config' | 'make-project' | 'start-retention' | 'end-operations';

export type CheckResult =
  | { readonly state: 'checked'; readonly findings: readonly Finding[] }
  | {
      readonly state: 'unknown';
      readonly why: string;
      /** That it could not be made, where nothing else that is told explains it. */
      readonly finding?: Finding;
    }
  | { readonly state: 'skipped' | 'waiting'; readonly why: string };

export type CheckResults<Check extends string> = Readonly<Partial<Record<Check, CheckResult>>>;

/** Whose something is: one life of a tenant, or the installation. */
export type HealthScope = { readonly tenant: TenantId; readonly incarnation: Incarnation } | null;

/** How old the newest backup may be where no schedule says. */
export const BACKUP_AGE_MS = 7 * DAY_MS;
/** How long ago a restore may have been proven where no drill is scheduled. */
export const PROVEN_AGE_MS = 90 * DAY_MS;
/** How long a failed operation is told of, unless one of its kind succeeds first. */
export const FAILURES_MS = DAY_MS;

const MAX_WHY = 300;

export function severest(severities: readonly Severity[]): Severity | undefined {
  return SEVERITIES.findLast((severity) => severities.includes(severity));
}

export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

/** What is wrong by a result. */
export function findingsOf(result: CheckResult | undefined): readonly Finding[] {
  if (result?.state === 'checked') return result.findings;
  return result?.state === 'unknown' && result.finding !== undefined ? [result.finding] : [];
}

/** A check failed though all that it needs answers: that is one of the things to know. */
export function uncheckable(error: unknown, fix: string): CheckResult {
  const why = String(error).slice(0, MAX_WHY);
  const message = `this could not be looked at: ${why}`;
  return { state: 'unknown', why, finding: { subject: 'unchecked', severity: 'warning', message, fix } };
}

export function stateOf(result: CheckResult): CheckState {
  if (result.state !== 'checked') return result.state;
  return severest(result.findings.map(({ severity }) => severity)) ?? 'ok';
}

/** What tells one alert from another: a tenant that is created anew under the same id is another life, and another alert. */
export function fingerprint(scope: HealthScope, check: string, subject: string): string {
  return `${scope?.incarnation ?? 'installation'}/${check}/${subject}`;
}
