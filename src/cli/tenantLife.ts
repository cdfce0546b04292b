import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import type { CvopsClient } from '../client/index.js';
import type { OperationHandle } from '../client/operations.js';
import { checkInput, incarnation, tenantId } from '../contracts/common.js';
import {
  type PurgePlan,
  RUNNING,
  type RetentionStatus,
  type Running,
  storeCount,
} from '../contracts/life.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { DEFAULT_SECOND_LOOK_SECONDS } from '../domain/purge.js';
import { DEFAULT_RETENTION_DAYS, parseRetentionDays } from '../domain/retention.js';
import { TENANT_STATES } from '../domain/states.js';
import { loadSettings } from '../settings.js';
import { confirm } from './confirm.js';
import { type WaitOptions, follow, wholeNumber, withClient, withWait } from './context.js';
import { answer, note, table } from './output.js';

export function addTenantLifeCommands(tenant: Command): void {
  withWait(
    tenant
      .command('deactivate <id>')
      .description('soft delete: refuse all use at once, purge when the retention has ended')
      .option(
        '--retention-days <days>',
        'how long it can be reactivated',
        parseRetentionDays,
        DEFAULT_RETENTION_DAYS,
      )
      .addOption(
        new Option('--running <how>', 'what becomes of operations that run')
          .choices([...RUNNING])
          .default('drain'),
      ),
  ).action(async (id: string, options: WaitOptions & { retentionDays: number; running: Running }) => {
    const { reason, retentionDays, running } = options;
    await answerRetention(parseTenantId(id), options, 'deactivate', (client, tenantId) =>
      client.life.deactivate({ tenant: tenantId, retentionDays, running, reason }),
    );
  });

  withWait(
    tenant.command('reactivate <id>').description('take a soft delete back: everything is as it was before'),
  ).action(async (id: string, options: WaitOptions) => {
    await answerRetention(parseTenantId(id), options, 'reactivate', (client, tenantId) =>
      client.life.reactivate(tenantId, options.reason),
    );
  });

  withWait(
    tenant
      .command('extend <id>')
      .description('move the purge of an inactive tenant further away')
      .requiredOption('--days <days>', 'by how many days', parseRetentionDays),
  ).action(async (id: string, options: WaitOptions & { days: number }) => {
    await answerRetention(parseTenantId(id), options, 'extend', (client, tenantId) =>
      client.life.extend(tenantId, options.days, options.reason),
    );
  });

  withWait(
    tenant
      .command('delete <id>')
      .description('hard delete: everything of the tenant, for good, with a signed certificate')
      .option('--hard', 'required: to be able to go back, deactivate instead', false)
      .option('--confirm <id>', 'the tenant id once more; asked for at a terminal')
      .option(
        '--rehearsal <file>',
        'what a --dry-run -o json printed: refused when the counts are others now',
      )
      .option(
        '--second-look <seconds>',
        'between the two read-backs',
        wholeNumber,
        DEFAULT_SECOND_LOOK_SECONDS,
      )
      .option(
        '--certificate <file>',
        'where to write it; by default in the state folder, under certificates/',
      ),
  ).action(async (id: string, options: DeleteOptions) => {
    const tenantId = parseTenantId(id);
    if (!options.hard) {
      throw new OpsError(
        'InvalidInput',
        'a delete that cannot be undone is asked for with --hard',
        `to keep the data for ${DEFAULT_RETENTION_DAYS} days: cvops tenant deactivate ${tenantId}`,
      );
    }
    await withClient(async (client) => {
      if (options.dryRun) {
        const plan = await client.life.rehearse(tenantId);
        answer(options.output, { dryRun: true, ...plan }, () => planTable(plan));
        return;
      }
      await deleteForGood(client, tenantId, options);
    });
  });
}

interface DeleteOptions extends WaitOptions {
  readonly hard: boolean;
  readonly confirm?: string;
  readonly rehearsal?: string;
  readonly secondLook: number;
  readonly certificate?: string;
}

async function deleteForGood(client: CvopsClient, tenant: TenantId, options: DeleteOptions): Promise<void> {
  const rehearsal = options.rehearsal === undefined ? undefined : await readPlan(options.rehearsal);
  await confirm(tenant, options.confirm, `the deletion of tenant ${tenant}`);
  const handle = await client.life.delete({
    tenant,
    reason: options.reason,
    secondLookSeconds: options.secondLook,
    rehearsal,
  });
  const done = await follow(handle, options);
  if (!done) {
    const started = { tenant, state: 'purging', operation: handle.operation, certificate: null };
    answer(options.output, started, () => `deleting ${tenant}`);
    return;
  }
  const file = path.resolve(
    options.certificate ??
      path.join(loadSettings().home, 'certificates', `${tenant}-${handle.operation}.json`),
  );
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, await client.life.certificate(tenant), { flag: 'wx' });
  answer(options.output, { ...done, purgeAt: null, certificate: file }, () =>
    [
      `tenant ${tenant} is purged`,
      `  certificate  ${file}`,
      `  verify it with: cvops certificate verify ${file}`,
    ].join('\n'),
  );
}

/** Runs an update of the retention and shows where it left the tenant. */
async function answerRetention(
  tenant: TenantId,
  options: WaitOptions,
  verb: 'deactivate' | 'reactivate' | 'extend',
  run: (client: CvopsClient, tenant: TenantId) => Promise<OperationHandle<RetentionStatus>>,
): Promise<void> {
  await withClient(async (client) => {
    if (options.dryRun) {
      const plan = await client.life.plan(tenant, verb);
      answer(options.output, { dryRun: true, ...plan }, () => JSON.stringify(plan, null, 2));
      return;
    }
    const handle = await run(client, tenant);
    const status = await follow(handle, options);
    if (!status) {
      answer(options.output, { tenant, operation: handle.operation }, () => `asked to ${verb} ${tenant}`);
      return;
    }
    const { operation } = handle;
    const { approval } = status;
    answer(options.output, { ...status, operation }, () =>
      approval !== undefined
        ? `not yet: a second administrator has to agree by ${approval.expiresAt}: cvops approval grant ${approval.operation}`
        : status.purgeAt === null
          ? `tenant ${tenant} is ${status.state}`
          : `tenant ${tenant} is ${status.state} until it is purged at ${status.purgeAt}`,
    );
    if (status.running > 0)
      note(
        `${status.running} operation(s) have not ended yet; see them with: cvops op list --tenant ${tenant}`,
      );
  });
}

const planFile = z.object({
  tenant: tenantId,
  incarnation,
  state: z.enum(TENANT_STATES),
  at: z.iso.datetime(),
  stores: z.array(storeCount),
});

async function readPlan(file: string): Promise<PurgePlan> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new OpsError('NotFound', `cannot read the rehearsal ${file}: ${(error as Error).message}`);
  }
  try {
    return checkInput(planFile, JSON.parse(text));
  } catch (error) {
    const why = (error as Error).message;
    throw new OpsError('InvalidInput', `not a rehearsal: ${why}`, 'make one with: --dry-run -o json > FILE');
  }
}

function planTable({ stores }: PurgePlan): string {
  return table(
    ['STORE', 'NAME', 'COUNT'],
    stores.map(({ store, name, count }) => [store, name, count]),
  );
}
