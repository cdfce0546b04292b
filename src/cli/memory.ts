import type { Command } from 'commander';
import type { MemoryItem } from '../client/memory.js';
import { parseTenantId } from '../domain/ids.js';
import {
  type ChangeOptions,
  type CommonOptions,
  collectSetting,
  wholeNumber,
  withChange,
  withClient,
  withOutput,
} from './context.js';
import { addMemoryKeepingCommands } from './memoryKeeping.js';
import { addMemoryScheduleCommands } from './memorySchedule.js';
import { answer, note, table } from './output.js';

interface ScopeOptions {
  readonly user?: string;
  readonly agent?: string;
  readonly run?: string;
}

interface AddOptions extends ChangeOptions, ScopeOptions {
  readonly key?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly kind?: string;
  readonly expiresOn?: string;
  readonly infer: boolean;
}

interface SearchOptions extends CommonOptions, ScopeOptions {
  readonly topK: number;
}

interface ListOptions extends CommonOptions, ScopeOptions {
  readonly limit: number;
  readonly cursor?: string;
}

export function addMemoryCommands(program: Command): void {
  const memory = program.command('memory').description("what a tenant's agents remember, kept by Mem0");
  addAdd(memory);
  addSearch(memory);
  addList(memory);
  addStats(memory);
  addMemoryKeepingCommands(memory);
  addMemoryScheduleCommands(memory);
}

function addAdd(memory: Command): void {
  withScope(withChange(memory.command('add <id> <text>').description('remember a text, word for word')))
    .option('--key <key>', 'the same key and text again is the same memory')
    .option('--metadata <key=value>', 'kept with it; may be repeated', collectSetting, {})
    .option('--kind <kind>', 'what retention goes by (default: memory)')
    .option('--expires-on <day>', 'its last day, YYYY-MM-DD (UTC)')
    .option('--infer', "let the tenant's LLM take the facts out of the text", false)
    .action(async (id: string, text: string, options: AddOptions) => {
      const tenant = parseTenantId(id);
      const { key, metadata, kind, expiresOn, infer, dryRun } = options;
      const request = {
        ...{ tenant, text, ...scopeOf(options), infer },
        ...(key === undefined ? {} : { key }),
        ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
        ...(kind === undefined ? {} : { kind }),
        ...(expiresOn === undefined ? {} : { expiresOn }),
      };
      await withClient(async (client) => {
        if (dryRun) {
          const plan = await client.memory.planAdd(request);
          return answer(options.output, { dryRun: true, ...plan }, () => 'it would be remembered');
        }
        const memories = await client.memory.add(request);
        answer(options.output, { memories }, () =>
          memories.length === 0
            ? 'nothing worth remembering was found in it'
            : memories
                .map(({ id: added, event }) => `${added}${event === 'NONE' ? ': there already' : ''}`)
                .join('\n'),
        );
      });
    });
}

function addSearch(memory: Command): void {
  withScope(
    withOutput(
      memory.command('search <id> <query>').description('the memories that are most like a text, best first'),
    ),
  )
    .option('--top-k <n>', 'memories at most', wholeNumber, 10)
    .action(async (id: string, query: string, options: SearchOptions) => {
      const tenant = parseTenantId(id);
      await withClient(async (client) => {
        const found = await client.memory.search({
          ...{ tenant, query, ...scopeOf(options), topK: options.topK },
        });
        answer(options.output, { memories: found.map(inMem0sWords) }, () => tableOf(found));
      });
    });
}

function addList(memory: Command): void {
  withScope(withOutput(memory.command('list <id>').description('memories, newest first')))
    .option('--limit <n>', 'memories at most', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on where the page before ended')
    .action(async (id: string, options: ListOptions) => {
      const tenant = parseTenantId(id);
      const { limit, cursor } = options;
      await withClient(async (client) => {
        const page = await client.memory.list({
          ...{ tenant, ...scopeOf(options), pageSize: limit },
          ...(cursor === undefined ? {} : { cursor }),
        });
        const next = page.cursor ?? null;
        answer(options.output, { memories: page.items.map(inMem0sWords), cursor: next }, () =>
          tableOf(page.items),
        );
        if (next !== null) note(`there are more: --cursor ${next}`);
      });
    });
}

function addStats(memory: Command): void {
  withOutput(
    memory.command('stats <id>').description('how many memories there are, of how many users and agents'),
  ).action(async (id: string, { output }: CommonOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const stats = await client.memory.stats(tenant);
      answer(output, stats, () =>
        table(
          ['MEMORIES', 'USERS', 'AGENTS', 'MB'],
          [[stats.total_memories, stats.unique_users, stats.unique_agents, stats.storage_mb]],
        ),
      );
    });
  });
}

function withScope(command: Command): Command {
  return command
    .option('--user <name>', 'whose it is')
    .option('--agent <name>', 'which agent’s')
    .option('--run <name>', 'of which run');
}

function scopeOf({ user, agent, run }: ScopeOptions) {
  return {
    ...(user === undefined ? {} : { userId: user }),
    ...(agent === undefined ? {} : { agentId: agent }),
    ...(run === undefined ? {} : { runId: run }),
  };
}

/** In the keys that Mem0's own API answers with. */
function inMem0sWords(item: MemoryItem) {
  const { id, memory, userId, agentId, runId, score } = item;
  const { hash, kind, metadata, createdAt, updatedAt, expiresOn } = item;
  return {
    ...{ id, memory, user_id: userId ?? null, agent_id: agentId ?? null, run_id: runId ?? null },
    ...(score === undefined ? {} : { score }),
    ...{ hash, kind, metadata, created_at: createdAt, updated_at: updatedAt ?? null },
    ...(expiresOn === undefined ? {} : { expiration_date: expiresOn }),
  };
}

function tableOf(items: readonly MemoryItem[]): string {
  if (items.length === 0) return 'no memories';
  return table(
    ['SCORE', 'USER', 'AGENT', 'CREATED', 'MEMORY', 'ID'],
    items.map(({ score, userId, agentId, createdAt, memory, id }) => [
      ...[score?.toFixed(4) ?? '-', userId ?? '-', agentId ?? '-', createdAt],
      ...[memory.length > 80 ? `${memory.slice(0, 77)}...` : memory, id],
    ]),
  );
}
