import type { Client } from '@temporalio/client';
import {
  type CheckResult,
  type CheckResults,
  type Finding,
  type InstallationCheck,
  uncheckable,
} from '../domain/health/checks.js';
import { scheduleIds } from '../domain/naming.js';
import type { OperationKind } from '../domain/states.js';
import { auditHead, verifyAudit, verifyAuditAfter } from '../registry/audit.js';
import type { Pool } from '../registry/database.js';
import { type NotedHead, installationReport } from '../registry/healthReports.js';
import { runningKinds, sharedOperations } from '../registry/operations.js';
import { allSchemas } from '../registry/schemas.js';
import { describeSchedule } from '../schedules/tenantSchedules.js';
import { readPackage, unregistered } from '../vespa/activePackage.js';
import { lostFinding, lostOf } from './lost.js';
import type { HealthResources } from './resources.js';
import type { Away } from './stores.js';
import { checkWorkers } from './workers.js';

/** Strangers in the package that are told one by one; more are one problem. */
const MAX_STRANGERS = 20;
/** While one of these runs a generation is rightly on its way. */
const DEPLOYING: readonly OperationKind[] = [
  'createTenant',
  'deploySchemas',
  'hardDeleteTenant',
  'restoreTenant',
  'drillRestore',
];

export interface InstallationChecked {
  readonly results: CheckResults<InstallationCheck>;
  /** Up to where the audit log was found whole; undefined when it was not. */
  readonly audited: NotedHead | undefined;
}

/** Looks at what all tenants share. */
export async function checkInstallation(
  resources: HealthResources,
  away: Away,
): Promise<InstallationChecked> {
  const audit = await checkAudit(resources);
  const needing = (store: 'vespa' | 'temporal', work: () => Promise<Finding[]>): Promise<CheckResult> =>
    away.has(store) ? Promise.resolve({ state: 'unknown', why: `${store} does not answer` }) : checked(work);
  const [workers, ofPackage, schedules, operations] = await Promise.all([
    needing('temporal', async () => checkWorkers(await resources.temporal(), resources.pool)),
    needing('vespa', () => checkPackage(resources)),
    needing('temporal', async () => checkSystemSchedules(await resources.temporal())),
    needing('temporal', async () => checkShared(await resources.temporal(), resources.pool)),
  ]);
  return {
    results: {
      // Whoever writes this report has it.
      registry: { state: 'checked', findings: [] },
      temporal: answers(away, 'temporal', 'Temporal: operations neither start nor go on'),
      workers,
      vespa: answers(away, 'vespa', 'Vespa: nothing is stored or found'),
      phoenix: answers(away, 'phoenix', 'Phoenix: traces are lost, and metrics cannot be read'),
      package: ofPackage,
      'system-schedules': schedules,
      operations,
      audit: audit.result,
    },
    audited: audit.head,
  };
}

async function checked(work: () => Promise<Finding[]>): Promise<CheckResult> {
  try {
    return { state: 'checked', findings: await work() };
  } catch (error) {
    return uncheckable(error, 'cvops status');
  }
}

function answers(away: Away, store: 'temporal' | 'vespa' | 'phoenix', without: string): CheckResult {
  const why = away.get(store);
  if (why === undefined) return { state: 'checked', findings: [] };
  const message = `no ${without} (${why})`.slice(0, 500);
  return {
    state: 'checked',
    findings: [{ subject: 'answers', severity: 'critical', message, fix: 'cvops status' }],
  };
}

async function checkPackage({ pool, configServer }: HealthResources): Promise<Finding[]> {
  const active = await readPackage(configServer);
  // After the package: a name is claimed before it is deployed.
  const strangers = unregistered(active, await allSchemas(pool));
  const found = strangers.slice(0, MAX_STRANGERS).map((name): Finding => {
    const message = `schema ${name} is in the package and nobody's by the registry`;
    return { subject: name, severity: 'warning', message, fix: 'cvops schema verify' };
  });
  const running = await runningKinds(pool);
  const deploying = DEPLOYING.some((kind) => running.has(kind));
  const convergence = deploying ? undefined : await configServer.convergence();
  if (convergence !== undefined && !convergence.converged)
    found.push({
      subject: 'generation',
      severity: 'warning',
      message: `not all of Vespa runs generation ${convergence.wantedGeneration}`,
      fix: `curl '${configServer.convergenceUrl}'`,
    });
  return found;
}

async function checkSystemSchedules(client: Client): Promise<Finding[]> {
  const found = await Promise.all(
    Object.values(scheduleIds.system).map(async (id): Promise<Finding[]> => {
      const description = await describeSchedule(client, id);
      const fix = `temporal schedule toggle --schedule-id ${id} --unpause`;
      if (description === undefined)
        return [
          {
            subject: id,
            severity: 'warning',
            message: `schedule ${id} is missing: a control worker makes it when it starts`,
          },
        ];
      if (!description.state.paused) return [];
      const { note = '' } = description.state;
      return [{ subject: id, severity: 'info', message: `schedule ${id} is paused: ${note}`, fix }];
    }),
  );
  return found.flat();
}

async function checkShared(client: Client, pool: Pool): Promise<Finding[]> {
  const losses = await lostOf(client, await sharedOperations(pool));
  // One that ended in between has not been lost.
  const still = new Set((await sharedOperations(pool)).map(({ operation }) => operation));
  return lostFinding(
    losses.filter(({ row }) => still.has(row.operation)),
    null,
    Date.now(),
  );
}

/** From where the last look found the log whole: a row that was changed or cut off since then breaks the chain. */
async function checkAudit({
  pool,
}: HealthResources): Promise<{ result: CheckResult; head: NotedHead | undefined }> {
  const noted = (await installationReport(pool))?.audited ?? undefined;
  // Before the look: what is written meanwhile is the next one's.
  const head = await auditHead(pool);
  const verdict = noted === undefined ? await verifyAudit(pool) : await verifyAuditAfter(pool, noted);
  if (verdict.brokenAt === undefined) return { result: { state: 'checked', findings: [] }, head };
  const message = `the audit log was changed: its chain breaks at entry ${verdict.brokenAt}`;
  const finding: Finding = {
    subject: 'chain',
    severity: 'critical',
    message,
    fix: 'cvops audit verify',
  };
  return { result: { state: 'checked', findings: [finding] }, head: undefined };
}
