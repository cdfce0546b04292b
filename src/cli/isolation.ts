import type { Command } from 'commander';
import type { VerifyIsolationRequest } from '../client/isolation.js';
import type { VerifyIsolationResult } from '../contracts/isolation.js';
import { OpsError } from '../domain/errors.js';
import { parseTenantId } from '../domain/ids.js';
import { type WaitOptions, follow, withClient, withWait } from './context.js';
import { endWith } from './ending.js';
import { answer, note, table } from './output.js';

interface VerifyOptions extends WaitOptions {
  readonly all: boolean;
  readonly selfTest: boolean;
}

export function addIsolationCommands(program: Command): void {
  const isolation = program.command('isolation').description('proof that tenants are kept apart');

  withWait(
    isolation
      .command('verify [a] [b]')
      .description('plant canaries in every store and look who finds whose: two tenants, or all')
      .option('--all', 'all active tenants; also when none is named', false)
      .option('--self-test', 'plant a leak of each kind with throw-away tenants: each must be seen', false),
  ).action(async (a: string | undefined, b: string | undefined, options: VerifyOptions) => {
    const tenants = whom(a, b, options);
    const { reason, selfTest } = options;
    await withClient(async (client) => {
      if (options.dryRun) {
        await client.isolation.plan(tenants);
        const plan = { dryRun: true, tenants, selfTest };
        return answer(options.output, plan, () => `would verify ${spoken(tenants)}`);
      }
      const handle = selfTest
        ? await client.isolation.selfTest(reason)
        : await client.isolation.verify({ tenants, reason });
      const result = await follow(handle, options);
      if (!result)
        return answer(options.output, { operation: handle.operation }, () => `verifying ${spoken(tenants)}`);
      for (const { tenant, why } of result.skipped) note(`${tenant}: skipped: ${why}`);
      answer(options.output, result, () => verified(result, selfTest));
      endWith(selfTest ? 'testIsolation' : 'verifyIsolation', result.ok);
    });
  });
}

type Whom = VerifyIsolationRequest['tenants'];

/** @throws OpsError `InvalidInput` */
function whom(a: string | undefined, b: string | undefined, { all, selfTest }: VerifyOptions): Whom {
  if (selfTest && (all || a !== undefined))
    throw new OpsError(
      'InvalidInput',
      'a self-test makes tenants of its own',
      'name none: cvops isolation verify --self-test',
    );
  if (a === undefined) return 'all';
  if (all || b === undefined)
    throw new OpsError(
      'InvalidInput',
      all ? 'either two tenants or --all' : 'isolation is between two tenants',
      'name two: cvops isolation verify A B, or none for all',
    );
  return [parseTenantId(a), parseTenantId(b)];
}

function spoken(tenants: Whom): string {
  return tenants === 'all' ? 'all tenants' : tenants.join(' and ');
}

function verified({ ok, tenants, pairs, checks }: VerifyIsolationResult, selfTest: boolean): string {
  const rows = checks.map(({ name, a, b, ok: green, detail }) => [
    name,
    a,
    b,
    green ? 'ok' : 'FAILED',
    detail,
  ]);
  const shown = table(['WAY', 'WHO LOOKED', 'FOR WHOSE', '', 'DETAIL'], rows);
  const good = selfTest
    ? `${checks.length} leaks planted, every one seen`
    : `${tenants} tenants, ${pairs} pairs: each finds its own, and nobody another's`;
  const bad = selfTest
    ? 'a verification would not see every leak: see the rows that say FAILED'
    : 'tenants are not kept apart: see the rows that say FAILED';
  return `${shown}\n${ok ? good : bad}`;
}
