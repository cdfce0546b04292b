import { type Command } from 'commander';
import { parseTenantId } from '../domain/ids.js';
import { type MemoryRetention, parseRetention } from '../domain/memory.js';
import { writeMemoryFile } from '../memory/file/write.js';
import { confirm } from './confirm.js';
import {
  type ChangeOptions,
  type CommonOptions,
  type WaitOptions,
  follow,
  withChange,
  withClient,
  withOutput,
  withWait,
} from './context.js';
import { OpsError } from '../domain/errors.js';
import { answer } from './output.js';
import { localPath } from './localPath.js';

export interface RetentionOptions {
  readonly olderThan?: string;
  readonly kind: readonly string[];
}

export function addMemoryKeepingCommands(memory: Command): void {
  addDelete(memory);
  addClear(memory);
  addPrune(memory);
  addExport(memory);
  addImport(memory);
}

function addDelete(memory: Command): void {
  withChange(
    memory
      .command('delete <id> <memory>')
      .description('remove one memory for good; exits 5 when it is not there'),
  ).action(async (id: string, name: string, options: ChangeOptions) => {
    const tenant = parseTenantId(id);
    const { reason, dryRun, output } = options;
    await withClient(async (client) => {
      const there = await client.memory.delete(tenant, name, reason, dryRun);
      if (!there)
        throw new OpsError(
          'NotFound',
          `tenant ${tenant} has no such memory`,
          `see them with: cvops memory list ${tenant}`,
        );
      const did = dryRun ? 'would be deleted' : 'deleted';
      answer(output, { ...(dryRun ? { dryRun } : {}), tenant, memory: name, deleted: !dryRun }, () => did);
    });
  });
}

function addClear(memory: Command): void {
  withWait(
    memory
      .command('clear <id>')
      .description('remove every memory of a tenant for good')
      .option('--confirm <id>', 'the tenant whose memory it is'),
  ).action(async (id: string, options: WaitOptions & { confirm?: string }) => {
    const tenant = parseTenantId(id);
    const { output, reason, dryRun } = options;
    await withClient(async (client) => {
      if (dryRun) {
        const memories = await client.memory.planClear(tenant);
        return answer(output, { dryRun, tenant, memories }, () => `${memories} memories would be removed`);
      }
      await confirm(tenant, options.confirm, `clearing the memory of ${tenant}`);
      const handle = await client.memory.clear(tenant, reason);
      const result = await follow(handle, options);
      if (!result) return answer(output, { operation: handle.operation }, () => `clearing ${tenant}`);
      answer(output, result, () => `${result.removed} memories removed, none is left`);
    });
  });
}

export function withRetention(command: Command): Command {
  return command
    .option('--older-than <age>', 'since they were last changed: 12h, 90d, 2w, 1y')
    .option(
      '--kind <kind[=age]>',
      'with an age: of this kind instead; without: only of the kinds that are named; may be repeated',
      (kind: string, kinds: readonly string[]) => [...kinds, kind],
      [] as readonly string[],
    );
}

export function retentionOf({ olderThan, kind }: RetentionOptions): MemoryRetention {
  return parseRetention(olderThan, kind);
}

function addPrune(memory: Command): void {
  withRetention(
    withWait(
      memory
        .command('prune <id>')
        .description('remove the memories that are too old, and those that have expired'),
    ),
  ).action(async (id: string, options: WaitOptions & RetentionOptions) => {
    const tenant = parseTenantId(id);
    const retention = retentionOf(options);
    const { output, reason, dryRun } = options;
    await withClient(async (client) => {
      if (dryRun) {
        const memories = await client.memory.planPrune(tenant, retention);
        const plan = { dryRun, tenant, memories, retention };
        return answer(output, plan, () => `${memories} memories would be removed`);
      }
      const handle = await client.memory.prune(tenant, retention, reason);
      const result = await follow(handle, options);
      if (!result) return answer(output, { operation: handle.operation }, () => `pruning ${tenant}`);
      answer(output, result, () => `${result.removed} memories removed`);
    });
  });
}

function addExport(memory: Command): void {
  withOutput(
    memory
      .command('export <id> <file>')
      .description('write every memory, with its embedding, into a file on this machine'),
  ).action(async (id: string, file: string, { output }: CommonOptions) => {
    const tenant = parseTenantId(id);
    const to = localPath(file);
    await withClient(async (client) => {
      const written = await writeMemoryFile(to, tenant, client.memory.export(tenant));
      answer(output, { tenant, file: to, ...written }, () => `${written.memories} memories in ${to}`);
    });
  });
}

function addImport(memory: Command): void {
  withWait(
    memory
      .command('import <id> <file>')
      .description(
        'store the memories of an exported file, which the data workers read; same ids are replaced',
      ),
  ).action(async (id: string, file: string, options: WaitOptions) => {
    const tenant = parseTenantId(id);
    const from = localPath(file);
    const { output, reason, dryRun } = options;
    await withClient(async (client) => {
      if (dryRun) {
        const found = await client.memory.planImport(tenant, from);
        const plan = { dryRun, tenant, file: from, ...found };
        return answer(output, plan, () => `${found.memories} memories would be stored`);
      }
      const handle = await client.memory.import(tenant, from, reason);
      const result = await follow(handle, options);
      if (!result) return answer(output, { operation: handle.operation }, () => `importing into ${tenant}`);
      answer(output, result, () => `${result.memories} memories stored`);
    });
  });
}
