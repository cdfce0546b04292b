import { randomUUID } from 'node:crypto';
import type { Attributes, Span } from '@opentelemetry/api';
import { checkInput, tenantId } from '../contracts/common.js';
import {
  type AddMemoryInput,
  type ClearMemoryResult,
  type ImportMemoryResult,
  type ListMemoryInput,
  type PruneMemoryResult,
  type SearchMemoryInput,
  addMemoryInput,
  clearMemoryInput,
  importMemoryInput,
  listMemoryInput,
  pruneMemoryInput,
  searchMemoryInput,
} from '../contracts/memory.js';
import { type OperationId, type TenantId, parseOperationId } from '../domain/ids.js';
import { type MemoryRetention, cutoffsOf, requireRetention, spokenRetention } from '../domain/memory.js';
import { workflowIds } from '../domain/naming.js';
import { TenantRates } from '../limits/rate.js';
import { whileWriting } from '../limits/memoryWriter.js';
import { checkMemoryFile } from '../memory/file/read.js';
import { checkAdd, checkId } from '../memory/input.js';
import type { Memories } from '../memory/open.js';
import type {
  AddedMemory,
  MemoryItem,
  MemoryPage,
  MemoryRecord,
  MemoryScope,
  MemoryStats,
  TenantMemory,
} from '../memory/tenantMemory.js';
import { countCall } from '../quotas/calls.js';
import { memoryRoom } from '../quotas/memories.js';
import { giveBack } from '../quotas/take.js';
import { type TenantLife, lockTenant, requireTenant } from '../registry/tenants.js';
import { llmOf } from '../tenants/llmOf.js';
import { memoryOf } from '../tenants/memoryOf.js';
import type { Verb } from '../domain/access.js';
import type { Connections } from './connections.js';
import type { OperationHandle } from './operations.js';

export type {
  AddedMemory,
  MemoryItem,
  MemoryPage,
  MemoryRecord,
  MemoryStats,
} from '../memory/tenantMemory.js';

/**
 * Tenants' memories. What is quick and may be asked again is done at once, each call within the tenant's `max_qps` for
 * memory; what takes long is an operation.
 *
 * @throws OpsError of every method: `InvalidInput`, `NotFound`, `PermissionDenied`, `QuotaExceeded`, `Unavailable`; `WrongState` when the
 *   tenant is not active or has no memory, and for a change also while another operation has closed it to changes
 */
export class MemoryClient {
  private opened: Promise<Memories> | undefined;
  private readonly rates: TenantRates;

  constructor(private readonly connections: Connections) {
    this.rates = new TenantRates(connections.pool);
  }

  /** With a key again is fine. @throws OpsError `Conflict` when the key stands for another text */
  async add(raw: AddMemoryInput): Promise<AddedMemory[]> {
    const { tenant, text, ...options } = checkInput(addMemoryInput, raw);
    checkAdd(text, options);
    // Not what it says: a memory that is cleared must not live on in a trace.
    const about = { ...scopeOf(options), 'memory.characters': text.length, infer: options.infer ?? false };
    return this.change(
      tenant,
      { name: 'memory.add', verb: 'memory add', about },
      async (memory, span, life) => {
        // Neither what it says nor whom it is about: a memory that is cleared must not live on here.
        const detail = { characters: text.length, infer: options.infer ?? false };
        const added = await this.connections.audited({ verb: 'add-memory', tenant, reason: '', detail }, () =>
          memory.add(text, options, memoryRoom(this.connections.pool, life)),
        );
        span.setAttribute(
          'memory.ids',
          added.map(({ id }) => id),
        );
        return added;
      },
      options.infer,
    );
  }

  /** Whether `add` would take it. */
  async planAdd(raw: AddMemoryInput): Promise<{ tenant: TenantId }> {
    const { tenant, text, ...options } = checkInput(addMemoryInput, raw);
    checkAdd(text, options);
    await this.requireOpen(tenant, 'memory add');
    return { tenant };
  }

  /** Best first. */
  async search(raw: SearchMemoryInput): Promise<MemoryItem[]> {
    const { tenant, query, ...options } = checkInput(searchMemoryInput, raw);
    const about = { ...scopeOf(options), 'input.value': query };
    const call = { name: 'memory.search', verb: 'memory search', kind: 'RETRIEVER', about } as const;
    return this.read(tenant, call, async (memory, span) => {
      const found = await memory.search(query, options);
      span.setAttributes({
        num_results: found.length,
        ...(found[0]?.score ? { top_score: found[0].score } : {}),
      });
      return found;
    });
  }

  /** Newest first, a page at a time. */
  async list(raw: ListMemoryInput): Promise<MemoryPage> {
    const { tenant, ...options } = checkInput(listMemoryInput, raw);
    const about = scopeOf(options);
    return this.read(tenant, { name: 'memory.list', verb: 'memory list', about }, (memory) =>
      memory.list(options),
    );
  }

  async stats(tenant: TenantId): Promise<MemoryStats> {
    return this.read(tenant, { name: 'memory.stats', verb: 'memory stats' }, (memory) => memory.stats());
  }

  /** Every one, as it is stored; what is added meanwhile may be among them. */
  async *export(tenant: TenantId): AsyncGenerator<MemoryRecord> {
    const call = { name: 'memory.export', verb: 'memory export' } as const;
    yield* await this.read(tenant, call, async (memory) => memory.exportRecords());
  }

  /**
   * Removes one memory, with its audit entry.
   *
   * @returns whether it was there
   */
  async delete(tenant: TenantId, id: string, reason: string, dryRun = false): Promise<boolean> {
    checkId(id);
    const about = { 'memory.id': id };
    if (dryRun)
      return this.read(
        tenant,
        { name: 'memory.get', verb: 'memory delete', about },
        async (all) => (await all.get(id)) !== undefined,
      );
    return this.change(tenant, { name: 'memory.delete', verb: 'memory delete', about }, (all, _, life) =>
      this.connections.audited(
        { verb: 'delete-memory', tenant, reason, detail: { memory: id } },
        async () => {
          const deleted = await all.delete(id);
          if (deleted) await giveBack(this.connections.pool, life, { memories: 1 });
          return deleted;
        },
        (deleted) => (deleted ? 'completed' : 'not found'),
      ),
    );
  }

  /** How many a `clear` would remove. */
  async planClear(tenant: TenantId): Promise<number> {
    await this.connections.authorize('memory clear', tenant);
    return (await this.stats(tenant)).total_memories;
  }

  /** Removes all of them. @throws OpsError also `Conflict` while another operation closes the tenant */
  async clear(tenant: TenantId, reason: string): Promise<OperationHandle<ClearMemoryResult>> {
    const asked = await this.asked(tenant, 'memory clear', reason);
    const input = checkInput(clearMemoryInput, asked);
    return this.connections.start(
      {
        ...{ kind: 'clearMemory', workflowId: workflowIds.clearMemory(tenant, asked.operation) },
        ...{
          tenant,
          operation: asked.operation,
          reason,
          summary: `clear the memory of ${tenant}`,
          priority: 3,
        },
      },
      input,
    );
  }

  /** How many a `prune` would remove now. */
  async planPrune(tenant: TenantId, retention: MemoryRetention): Promise<number> {
    const cutoffs = cutoffsOf(requireRetention(retention), Date.now());
    const { removed } = await this.read(
      tenant,
      { name: 'memory.planPrune', verb: 'memory prune' },
      (memory) => memory.removeOlderThan(cutoffs, { dryRun: true }),
    );
    return removed;
  }

  /** Removes what is too old. @throws OpsError also `Conflict` while one runs */
  async prune(
    tenant: TenantId,
    retention: MemoryRetention,
    reason: string,
  ): Promise<OperationHandle<PruneMemoryResult>> {
    requireRetention(retention);
    const asked = await this.asked(tenant, 'memory prune', reason);
    const input = checkInput(pruneMemoryInput, { ...asked, retention });
    return this.connections.start(
      {
        ...{ kind: 'pruneMemory', workflowId: workflowIds.pruneMemory(tenant), tenant },
        ...{ operation: asked.operation, reason, priority: 4 },
        summary: `prune the memory of ${tenant}: ${spokenRetention(retention)}`,
      },
      input,
    );
  }

  /**
   * Puts the memories of an exported file into the tenant, each under its id: one that is there already is replaced.
   *
   * @param file absolute, as the data workers see it
   */
  async import(tenant: TenantId, file: string, reason: string): Promise<OperationHandle<ImportMemoryResult>> {
    const asked = await this.asked(tenant, 'memory import', reason);
    await this.connections.authorizePlace('memory import', tenant, { kind: 'file', path: file });
    const input = checkInput(importMemoryInput, { ...asked, file });
    return this.connections.start(
      {
        ...{ kind: 'importMemory', workflowId: workflowIds.importMemory(tenant, asked.operation), tenant },
        ...{ operation: asked.operation, reason, summary: `import memories into ${tenant}`, priority: 4 },
      },
      input,
    );
  }

  /** Reads the file, here, and says how many it has. @throws OpsError also `NotFound`, `VerificationFailed` of the file */
  async planImport(tenant: TenantId, file: string): Promise<{ memories: number }> {
    await this.requireOpen(tenant, 'memory import');
    await this.connections.authorizePlace('memory import', tenant, { kind: 'file', path: file });
    const how = { signal: new AbortController().signal, reach: this.connections.reach };
    const { memories } = await checkMemoryFile(file, how);
    return { memories };
  }

  /** A clear answer at once; the workflow's first step decides. */
  private async requireOpen(tenant: TenantId, verb: Verb): Promise<void> {
    const { pool } = this.connections;
    await this.connections.authorize(verb, checkInput(tenantId, tenant));
    await memoryOf(pool, await requireTenant(pool, tenant, 'remember'));
  }

  private async asked(tenant: TenantId, verb: Verb, reason: string): Promise<Asked> {
    await this.requireOpen(tenant, verb);
    return { tenant, operation: parseOperationId(randomUUID()), ...this.connections.asker, reason };
  }

  private async read<T>(tenant: TenantId, call: Call, work: Work<T>): Promise<T> {
    const { pool } = this.connections;
    await this.connections.authorize(call.verb, checkInput(tenantId, tenant));
    const row = await requireTenant(pool, tenant, 'recall');
    const life = await memoryOf(pool, row);
    const memories = await this.memories();
    return this.traced(row, call, async (span) => {
      await this.admit(row);
      return work(memories.open(life), span, row);
    });
  }

  private async change<T>(tenant: TenantId, call: Call, work: Work<T>, infer = false): Promise<T> {
    const { pool } = this.connections;
    await this.connections.authorize(call.verb, checkInput(tenantId, tenant));
    const row = await requireTenant(pool, tenant, 'remember');
    const llm = infer ? await llmOf(pool, row, this.connections.referenceRules) : undefined;
    const memories = await this.memories();
    return this.traced(row, call, async (span) => {
      await this.admit(row);
      return whileWriting(
        pool,
        (tx) => lockTenant(tx, tenant, 'remember'),
        async (row) => work(memories.open(await memoryOf(pool, row), llm), span, row),
      );
    });
  }

  /** Its turn, and counted as one of the tenant's calls. */
  private async admit(row: TenantLife): Promise<void> {
    await this.rates.take({ incarnation: row.incarnation, kind: 'memory' });
    await countCall(this.connections.pool, row);
  }

  private traced<T>(life: TenantLife, call: Call, fn: (span: Span) => Promise<T>): Promise<T> {
    const { name, kind = 'TOOL', about = {} } = call;
    return this.connections.telemetry.traced(life, kind, name, about, fn);
  }

  private memories(): Promise<Memories> {
    // Here, as few commands are about memory, and what it brings with it would slow the start of every one down.
    this.opened ??= import('../memory/open.js')
      .then(({ openMemories }) => openMemories(this.connections.settings))
      .then(
        (memories) => {
          this.connections.onClose(() => memories.close());
          return memories;
        },
        (error: unknown) => {
          this.opened = undefined;
          throw error;
        },
      );
    return this.opened;
  }
}

type Work<T> = (memory: TenantMemory, span: Span, life: TenantLife) => Promise<T>;

/** What a span says of a call. */
interface Call {
  readonly verb: Verb;
  readonly name: `memory.${string}`;
  readonly kind?: 'RETRIEVER';
  readonly about?: Attributes;
}

function scopeOf({ userId, agentId, runId }: MemoryScope): Attributes {
  return {
    ...(userId === undefined ? {} : { 'user.id': userId }),
    ...(agentId === undefined ? {} : { 'agent.id': agentId }),
    ...(runId === undefined ? {} : { 'run.id': runId }),
  };
}

interface Asked {
  readonly tenant: TenantId;
  readonly operation: OperationId;
  readonly principal: string;
  readonly principalTenant?: TenantId;
  readonly reason: string;
}
