import type { Diagnosis } from '../client/health.js';
import type { TenantCheck } from '../domain/health/checks.js';

/** What it means that a check found nothing wrong. */
const WELL: Readonly<Record<TenantCheck, string>> = {
  lifecycle: 'what its state waits for is under way',
  schemas: 'each schema of the registry is in the package, and answers',
  config: 'its configurations are there and fit their rules',
  memory: 'its memory answers',
  phoenix: 'its Phoenix project is there',
  backups: 'its newest backup is as young as it should be',
  schedules: 'its schedules are there, none is paused',
  operations: 'no operation failed of late, none hangs',
  quotas: 'no quota is nearly used up',
};

/** Every check in a line of plain words, and below what is wrong the command that mends it. */
export function diagnosisText({ tenants, installation, findings }: Diagnosis): string {
  const [health] = tenants;
  const { tenant, state, checks } = health!;
  const lines = Object.entries(checks).flatMap(([check, report]) => {
    const wrong = findings.filter((finding) => finding.check === check);
    const label = `${check.padEnd(11)} ${report.state.padEnd(9)}`;
    if (wrong.length === 0)
      return [`${label} ${report.state === 'ok' ? WELL[check as TenantCheck] : (report.why ?? '')}`];
    return wrong.flatMap(({ severity, message, fix }) => [
      `${check.padEnd(11)} ${severity.padEnd(9)} ${message}`,
      ...(fix === undefined ? [] : [`${' '.repeat(21)}  → ${fix}`]),
    ]);
  });
  const shared = installation.alerts.filter(({ severity }) => severity !== 'info');
  return [
    `${tenant} is ${state}`,
    ...lines.map((line) => `  ${line}`),
    ...shared.map(({ severity, message }) => `  (installation) ${severity} ${message}`),
  ].join('\n');
}
