import type { Command } from 'commander';
import type { VerifyIsolationRequest } from '../client/isolation.js';
import type { VerifyIsolationResult } from '../contracts/isolation.js';
import { OpsError } from '../domain/errors.js';
import { parseTenantId } from '../domain/ids.js';
import { type WaitOptions, follow, withClient, withWait } from './context.js';
import { EXIT, ExitWith, answer, note, table } from './output.js';

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
    if (options.dryRun) return answer(options.output, { tenants }, () => `would verify ${spoken(tenants)}`);
    await withClient(async (client) => {
      const handle = await client.isolation.verify({ tenants, reason: options.reason });
      const result = await follow(handle, options);
      if (!result)
        return answer(options.output, { operation: handle.operation }, () => `verifying ${spoken(tenants)}`);
      for (const { tenant, why } of result.skipped) note(`${tenant}: skipped: ${why}`);
      answer(options.output, result, () => verified(result));
      if (!result.ok) throw new ExitWith(EXIT.verification);
    });
  });
}

type Whom = VerifyIsolationRequest['tenants'];

/** @throws OpsError `InvalidInput` */
function whom(a: string | undefined, b: string | undefined, { all }: VerifyOptions): Whom {
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

function verified({ ok, tenants, pairs, checks }: VerifyIsolationResult): string {
  const rows = checks.map(({ name, a, b, ok: green, detail }) => [
    name,
    a,
    b,
    green ? 'ok' : 'FAILED',
    detail,
  ]);
  const verdict = ok
    ? `${tenants} tenants, ${pairs} pairs: each finds its own, and nobody another's`
    : 'tenants are not kept apart: see the rows that say FAILED';
  return `${table(['WAY', 'WHO LOOKED', 'FOR WHOSE', '', 'DETAIL'], rows)}\n${verdict}`;
}
