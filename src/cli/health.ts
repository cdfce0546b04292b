import type { Command } from 'commander';
import type { Diagnosis, HealthAnswer, TenantHealth } from '../client/health.js';
import { OpsError } from '../domain/errors.js';
import { SEVERITIES } from '../domain/health/checks.js';
import { parseTenantId } from '../domain/ids.js';
import { REPAIRS } from '../health/repair.js';
import type { Alert } from '../registry/alerts.js';
import { type ChangeOptions, type CommonOptions, withChange, withClient, withOutput } from './context.js';
import { diagnosisText } from './healthText.js';
import { EXIT, ExitWith, answer, note, table } from './output.js';

export function addHealthCommands(program: Command): void {
  withOutput(
    program
      .command('health [id]')
      .description(
        'look at one tenant, or at all and the installation; exits 8 when there is something to do',
      )
      .option('--all', 'every tenant and the installation (default)', false),
  ).action(async (id: string | undefined, options: CommonOptions & { all: boolean }) => {
    if (id !== undefined && options.all)
      throw new OpsError(
        'InvalidInput',
        'name one tenant, or --all',
        'cvops health ID, or cvops health --all',
      );
    const tenant = id === undefined ? undefined : parseTenantId(id);
    await withClient(async (client) => {
      const health = await client.health.check(tenant);
      answer(options.output, health, () => healthText(health));
      if (!health.ok) throw new ExitWith(EXIT.verification);
    });
  });

  withChange(
    program
      .command('diagnose <id>')
      .description(
        'say what is wrong with a tenant and which command mends it; exits 8 when there is something to do',
      )
      .option('--repair', 'do what is safe about it, and look again', false),
  ).action(async (id: string, options: ChangeOptions & { repair: boolean }) => {
    const tenant = parseTenantId(id);
    const { output, reason, dryRun } = options;
    await withClient(async (client) => {
      const plan = options.repair && dryRun ? await client.health.planRepair(tenant) : undefined;
      const found =
        plan ??
        (await (options.repair ? client.health.repair(tenant, reason) : client.health.diagnose(tenant)));
      answer(output, { ...(plan ? { dryRun } : {}), ...found }, () => diagnosisText(found));
      for (const what of plan?.repairs ?? []) note(`would ${REPAIRS[what]}`);
      reportRepairs(found);
      if (!found.ok) throw new ExitWith(EXIT.verification);
    });
  });
}

function reportRepairs({ repaired }: Diagnosis): void {
  for (const { repair, done, why } of repaired)
    note(done ? `done: ${REPAIRS[repair]}` : `not done: ${REPAIRS[repair]}: ${why}`);
}

/** What is to be done first, who is well last. */
export function healthText({ ok, installation, tenants }: HealthAnswer): string {
  const alerts = [
    ...installation.alerts.map((alert) => ({ alert, who: '(installation)' })),
    ...tenants.flatMap(({ tenant, alerts: own }) => own.map((alert) => ({ alert, who: tenant }))),
  ];
  const rank = ({ alert }: { readonly alert: Alert }) => SEVERITIES.indexOf(alert.severity);
  const order = alerts.toSorted((a, b) => rank(b) - rank(a));
  const well = tenants.filter((each) => each.ok && each.alerts.length === 0);
  const unknown = tenants.flatMap(unknownLine);
  return [
    ok ? 'ok' : 'there is something to do',
    ...(order.length === 0
      ? []
      : [
          table(
            ['STATE', 'WHO', 'WHAT', 'DO NEXT'],
            order.map(({ alert, who }) => [stateText(alert), who, alert.message, alert.fix ?? '-']),
          ),
        ]),
    ...unknown,
    ...(well.length === 0 ? [] : [`${well.length} tenant(s) well: ${named(well)}`]),
  ].join('\n');
}

function stateText({ severity, silencedUntil }: Alert): string {
  return silencedUntil === null ? severity : `${severity} (silenced)`;
}

function unknownLine({ tenant, checks }: TenantHealth): string[] {
  const unknown = Object.entries(checks).filter(([, { state }]) => state === 'unknown');
  if (unknown.length === 0)
    return Object.keys(checks).length === 0 ? [`unknown: ${tenant}, not looked at yet`] : [];
  return [`unknown: ${tenant}: ${unknown.map(([check]) => check).join(', ')} (${unknown[0]![1].why})`];
}

const SHOWN = 10;

function named(tenants: readonly TenantHealth[]): string {
  const names = tenants.slice(0, SHOWN).map(({ tenant }) => tenant);
  return tenants.length > SHOWN ? `${names.join(', ')} …` : names.join(', ');
}
