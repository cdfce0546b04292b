import type { Command } from 'commander';
import { Option } from 'commander';
import type { BackupTenantResult, RestoreTenantResult } from '../contracts/backupOperations.js';
import { CONSISTENCIES, type Consistency, parseBackupId } from '../domain/backups.js';
import { OpsError } from '../domain/errors.js';
import { parseTenantId, quoteForMessage } from '../domain/ids.js';
import { verified, verifyFolder } from './backupFolder.js';
import { addBackupKeepingCommands } from './backupKeeping.js';
import { confirm } from './confirm.js';
import { type WaitOptions, follow, withClient, withWait } from './context.js';
import { endWith } from './ending.js';
import { answer } from './output.js';

interface CreateOptions extends WaitOptions {
  readonly consistency: Consistency;
}

interface VerifyOptions extends WaitOptions {
  readonly sample?: { readonly n: number; readonly t: number };
  readonly publicKey?: string;
}

interface RestoreOptions extends WaitOptions {
  readonly into?: string;
  readonly replace?: true;
  readonly preview?: true;
  readonly overrideQuarantine?: true;
  readonly confirm?: string;
}

interface DrillOptions extends WaitOptions {
  readonly backup?: string;
}

export function addBackupCommands(program: Command): void {
  const backup = program.command('backup').description('copy tenants, prove the copies, restore from them');
  addCreate(backup);
  addVerify(backup);
  addRestore(backup);
  addDrill(backup);
  addBackupKeepingCommands(backup);
}

function addCreate(backup: Command): void {
  withWait(
    backup
      .command('create <id>')
      .description('back a tenant up into the backup store')
      .addOption(
        new Option(
          '--consistency <how>',
          'fenced: changes are refused meanwhile; settled: read until nothing changed; fuzzy: as it comes',
        )
          .choices(CONSISTENCIES)
          .default('settled'),
      ),
  ).action(async (id: string, options: CreateOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const { consistency, reason } = options;
      if (options.dryRun) {
        const plan = await client.backups.plan({ tenant, consistency });
        answer(
          options.output,
          { dryRun: true, ...plan },
          () => `${plan.schemas.length} schemas would be backed up`,
        );
        return;
      }
      const handle = await client.backups.create({ tenant, consistency, reason });
      const result = await follow(handle, options);
      if (result) answer(options.output, result, () => created(result));
      else answer(options.output, { operation: handle.operation }, () => `backing up ${tenant}`);
    });
  });
}

function created(result: BackupTenantResult): string {
  const { backup, path, documents, spans, memories, bytes, consistency, asked } = result;
  const short = consistency === asked ? '' : ` (${asked} was asked for)`;
  return [
    `${backup}: ${documents} documents, ${memories} memories, ${spans} spans; ${bytes} bytes, ${consistency}${short}`,
    path,
  ].join('\n');
}

function addVerify(backup: Command): void {
  withWait(
    backup
      .command('verify <backup>')
      .description(
        'read a backup, by its id or its folder, and compare it with its manifest; exits 8 when it differs',
      )
      .option('--sample <n/t>', 'only the n-th of t parts of it', sample)
      .option('--public-key <file>', 'of a folder: whose manifests are believed (SPKI PEM)'),
  ).action(async (name: string, options: VerifyOptions) => {
    if (/[/.]/.test(name)) return verifyFolder(name, options);
    const backup = parseBackupId(name);
    await withClient(async (client) => {
      if (options.dryRun) {
        const tenant = await client.backups.tenantOf(backup, 'backup verify');
        const plan = { dryRun: true, backup, tenant, sample: options.sample ?? null };
        return answer(options.output, plan, () => `would verify ${backup} of ${tenant}`);
      }
      const handle = await client.backups.verify({ backup, sample: options.sample, reason: options.reason });
      const result = await follow(handle, options);
      if (!result)
        return answer(options.output, { operation: handle.operation }, () => `verifying ${backup}`);
      answer(options.output, result, () => verified(result));
      endWith('verifyBackup', result.ok);
    });
  });
}

function addRestore(backup: Command): void {
  withWait(
    backup
      .command('restore <backup>')
      .description('make a tenant again what it was, or another one of it')
      .option('--into <id>', 'another tenant: a new one, or one that holds nothing')
      .option('--replace', 'over what the tenant holds now')
      .option('--preview', 'say what would be done')
      .option('--override-quarantine', 'take the name of a tenant that was purged a short while ago')
      .option('--confirm <id>', 'the tenant whose data is replaced'),
  ).action(async (name: string, options: RestoreOptions) => {
    const backup = parseBackupId(name);
    const into = options.into === undefined ? undefined : parseTenantId(options.into);
    const preview = options.preview === true || options.dryRun;
    await withClient(async (client) => {
      if (options.replace && !preview)
        await confirm(
          into ?? (await client.backups.tenantOf(backup)),
          options.confirm,
          'replacing what the tenant holds',
        );
      const handle = await client.backups.restore({
        ...{ backup, into, preview, reason: options.reason },
        replace: options.replace === true,
        overrideQuarantine: options.overrideQuarantine === true,
      });
      const result = await follow(handle, options);
      const plan = options.dryRun ? { dryRun: true } : {};
      if (result) answer(options.output, { ...plan, ...result }, () => restored(result));
      else answer(options.output, { operation: handle.operation }, () => `restoring ${backup}`);
    });
  });
}

const HOW = {
  create: 'a new tenant',
  fill: 'the tenant, which holds nothing',
  replace: 'the tenant, over what it holds',
} as const;

function restored(result: RestoreTenantResult): string {
  const { tenant, backup, from, how, renames, documents, memories, spans, configVersions, loses, state } =
    result;
  const what = `${documents} documents, ${memories} memories, ${spans} spans, ${configVersions} versions of its configuration`;
  if (state !== 'previewed') return `${tenant} is ${state}: ${what}, read back and equal`;
  return [
    `backup ${backup} of ${from} into ${tenant}: ${HOW[how]}`,
    `  ${what}`,
    ...(renames ? ['  ids and names are rewritten to the new life'] : []),
    ...(how === 'replace'
      ? [`  lost: ${loses.documents} documents, ${loses.spans} spans, which takes --replace`]
      : []),
  ].join('\n');
}

function addDrill(backup: Command): void {
  withWait(
    backup
      .command('drill <id>')
      .description('restore the newest backup into a throw-away tenant, compare, and delete that tenant')
      .option('--backup <backup>', 'another one than the newest'),
  ).action(async (id: string, options: DrillOptions) => {
    const tenant = parseTenantId(id);
    const chosen = options.backup === undefined ? undefined : parseBackupId(options.backup);
    await withClient(async (client) => {
      if (options.dryRun) {
        const backup = await client.backups.planDrill({ tenant, backup: chosen });
        return answer(options.output, { dryRun: true, tenant, backup }, () => `would restore ${backup}`);
      }
      const handle = await client.backups.drill({ tenant, backup: chosen, reason: options.reason });
      const result = await follow(handle, options);
      if (!result) return answer(options.output, { operation: handle.operation }, () => `drill of ${tenant}`);
      const { backup: proven, documents, memories, spans, into } = result;
      answer(
        options.output,
        result,
        () =>
          `${proven} is proven: ${documents} documents, ${memories} memories and ${spans} spans came back equal in ${into}, which is gone`,
      );
    });
  });
}

function sample(text: string): { n: number; t: number } {
  const [n, t] = /^[0-9]{1,4}\/[0-9]{1,4}$/.test(text) ? text.split('/').map(Number) : [];
  if (n !== undefined && t !== undefined && n >= 1 && n <= t && t <= 1000) return { n, t };
  throw new OpsError('InvalidInput', `not a sample: ${quoteForMessage(text)}`, 'such as 1/10, up to 10/10');
}
