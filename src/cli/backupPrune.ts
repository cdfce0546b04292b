import type { Command } from 'commander';
import type { CvopsClient } from '../client/index.js';
import type { PruneBackupsResult } from '../contracts/backupKeeping.js';
import { OpsError } from '../domain/errors.js';
import { type TenantId, parseTenantId } from '../domain/ids.js';
import { type KeepPolicy, type KeepVerdict, requireKeepPolicy } from '../domain/keepPolicy.js';
import { type WaitOptions, follow, withClient, withWait } from './context.js';
import { endWith } from './ending.js';
import { type KeepOptions, policyOf, withKeep } from './keepOptions.js';
import { answer, note, table } from './output.js';

type PruneOptions = WaitOptions & KeepOptions & { readonly all: boolean };

/** What was, or would be, done for one tenant. */
type Pruned = { readonly tenant: TenantId; readonly backups: readonly KeepVerdict[] } & (
  PruneBackupsResult | { readonly dryRun: true } | { readonly operation: string }
);

export function addPruneCommand(backup: Command): void {
  withKeep(
    withWait(
      backup
        .command('prune [id]')
        .description('remove the backups that no rule keeps; held ones and the newest complete one stay')
        .option('--all', 'of every tenant that has backups', false),
    ),
  ).action(async (id: string | undefined, options: PruneOptions) => {
    if ((id === undefined) !== options.all)
      throw new OpsError('InvalidInput', 'whose backups?', 'name one tenant, or give --all');
    const tenant = id === undefined ? undefined : parseTenantId(id);
    const policy = requireKeepPolicy(policyOf(options) ?? {});
    await withClient(async (client) => {
      const tenants = tenant === undefined ? await client.backupKeeping.tenants() : [tenant];
      const pruned: Pruned[] = [];
      for (const each of tenants) pruned.push(await prune(client, each, policy, options));
      answer(options.output, tenant === undefined ? { tenants: pruned } : pruned[0], () => tableOf(pruned));
      const failed = pruned.flatMap((each) => ('unremoved' in each ? each.unremoved : []));
      for (const { backup: left, why } of failed) note(`not removed: ${left}: ${why}`);
      endWith('pruneBackups', failed.length === 0);
    });
  });
}

async function prune(
  client: CvopsClient,
  tenant: TenantId,
  policy: KeepPolicy,
  options: PruneOptions,
): Promise<Pruned> {
  const backups = await client.backupKeeping.plan(tenant, policy);
  if (options.dryRun) return { dryRun: true, tenant, backups };
  const handle = await client.backupKeeping.prune(tenant, policy, options.reason);
  const result = await follow(handle, options);
  return { ...(result ?? { operation: handle.operation }), tenant, backups };
}

function tableOf(pruned: readonly Pruned[]): string {
  const rows = pruned.flatMap(({ tenant, backups }) =>
    backups.map(({ backup, verdict, reasons }) => [tenant, backup, verdict, reasons.join(', ')]),
  );
  const ends = pruned.flatMap((each) =>
    'removed' in each
      ? [
          `${each.tenant}: ${each.removed} removed (${each.objects} objects, ${each.bytes} bytes), ${each.kept} kept`,
        ]
      : [],
  );
  return [table(['TENANT', 'BACKUP', 'VERDICT', 'WHY'], rows), ...ends].join('\n');
}
