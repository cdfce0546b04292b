import type { Command } from 'commander';
import type { BackupSummary } from '../client/backupKeeping.js';
import { parseBackupId } from '../domain/backups.js';
import { parseTenantId } from '../domain/ids.js';
import { addPruneCommand } from './backupPrune.js';
import { addScheduleCommand } from './backupSchedule.js';
import { type ChangeOptions, type CommonOptions, withChange, withClient, withOutput } from './context.js';
import { answer, table } from './output.js';

/** Adds `list`, `hold`, `release`, `prune` and `schedule` to the command `backup`. */
export function addBackupKeepingCommands(backup: Command): void {
  withOutput(
    backup
      .command('list [id]')
      .description('of one tenant or of all, newest first')
      .option('--removed', 'also those that were removed', false),
  ).action(async (id: string | undefined, { output, removed }: CommonOptions & { removed: boolean }) => {
    const tenant = id === undefined ? undefined : parseTenantId(id);
    await withClient(async (client) => {
      const backups = await client.backupKeeping.list(tenant, { removed });
      answer(output, { backups }, () =>
        table(
          ['BACKUP', 'TENANT', 'STATE', 'CONSISTENCY', 'DOCUMENTS', 'SPANS', 'BYTES', 'PROOF', 'HOLD'],
          backups.map((b) => [
            ...[b.backup, b.tenant, b.state, b.consistency, b.documents, b.spans, b.bytes],
            ...[proofOf(b), b.hold ?? '-'],
          ]),
        ),
      );
    });
  });

  withChange(
    backup.command('hold <backup>').description('keep it whatever a policy says; --reason is required'),
  ).action((id: string, options: ChangeOptions) => setHeld(id, true, options));
  withChange(
    backup.command('release <backup>').description('no longer hold it; --reason is required'),
  ).action((id: string, options: ChangeOptions) => setHeld(id, false, options));

  addPruneCommand(backup);
  addScheduleCommand(backup);
}

async function setHeld(id: string, held: boolean, { output, reason, dryRun }: ChangeOptions): Promise<void> {
  const backup = parseBackupId(id);
  await withClient(async (client) => {
    const now = await (held
      ? client.backupKeeping.hold(backup, reason, dryRun)
      : client.backupKeeping.release(backup, reason, dryRun));
    answer(output, { ...(dryRun ? { dryRun } : {}), ...now }, () => {
      const is = dryRun ? 'would be' : 'is';
      return held ? `backup ${backup} ${is} held: ${now.hold}` : `backup ${backup} ${is} held no more`;
    });
  });
}

/** The best that is known of it. */
function proofOf({ sound, verifiedAt, provenAt }: BackupSummary): string {
  if (sound === false) return `UNSOUND, ${verifiedAt}`;
  if (provenAt !== null) return `restored, ${provenAt}`;
  return verifiedAt === null ? '-' : `verified, ${verifiedAt}`;
}
