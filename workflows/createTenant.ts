import {
  CancellationScope,
  condition,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Failure } from '../activities/types.js';
import type { CreateTenantInput, CreateTenantResult, SchemaChangeOutcome } from '../src/contracts/tenants.js';
import type { BaseSchema } from '../src/domain/profiles.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import { failureRecord, operationFailure } from './failures.js';
import { schemasChanged } from './messages.js';
import { schemaRequests, tenantCompensations, tenantResources, tenants, titled } from './options.js';
import { versioned } from './versioning.js';

/** How long a saga waits for `vespaApplication`; its own deploy gives up after 30 minutes. */
const SCHEMA_DEADLINE = '45 minutes';

/**
 * Creates a tenant: registry row → configuration from its template → schemas → Phoenix project → memory → verified →
 * active. On a final failure it undoes what it did in reverse and leaves the tenant `creation_failed`; a second create
 * is then allowed.
 */
export async function createTenant(input: CreateTenantInput): Promise<CreateTenantResult> {
  const { tenant, incarnation, operation } = input;
  const key = { tenant, incarnation, operation };
  const outcomes = new Map<string, SchemaChangeOutcome>();
  setHandler(schemasChanged, (outcome) => void outcomes.set(outcome.id, outcome));

  const steps = new Progress(tenant);
  // Refused here, nothing was done: there is nothing to undo and no row that says otherwise.
  const plan = await titled(tenants.beginCreate, `register ${tenant}`, input).catch((error: unknown) => {
    throw operationFailure(failureRecord(error));
  });

  const undo: { what: string; run: () => Promise<unknown> }[] = [];
  // Noted before the step: a step that timed out may have happened. Every undo finds "nothing there" fine.
  const step = async <T>(
    what: string,
    run: () => Promise<T>,
    compensate?: () => Promise<unknown>,
  ): Promise<T> => {
    if (compensate) undo.push({ what, run: compensate });
    steps.begin(what);
    const result = await run();
    steps.done(what);
    return result;
  };
  const changeSchemas = async (verb: 'add' | 'remove', bases: readonly BaseSchema[]): Promise<void> => {
    const id = `${operation}/${verb}`;
    await titled(schemaRequests.requestSchemaChange, `${verb} ${bases.length} schema(s)`, {
      cluster: input.cluster,
      request: {
        id,
        tenant,
        incarnation,
        add: verb === 'add' ? [...bases] : [],
        remove: verb === 'remove' ? [...bases] : [],
        replyTo: workflowInfo().workflowId,
      },
    });
    if (!(await condition(() => outcomes.has(id), SCHEMA_DEADLINE))) {
      throw operationFailure({
        code: 'Unavailable',
        message: 'the Vespa application workflow did not answer in time',
      });
    }
    const { ok, error } = outcomes.get(id)!;
    if (!ok)
      throw operationFailure({
        code: 'Rejected',
        message: error?.message ?? 'the schema change was refused',
      });
  };

  try {
    await step(
      'configuration',
      () => titled(tenants.writeInitialConfig, `from template ${input.template}`, input),
      () => titled(tenantCompensations.removeConfig, 'undo configuration', key),
    );
    await step(
      'schemas',
      async () => {
        await titled(tenants.reserveSchemas, plan.bases.join(', '), { ...key, bases: plan.bases });
        await changeSchemas('add', plan.bases);
      },
      async () => {
        const deployed = await titled(tenantCompensations.schemasToRemove, 'undo schemas', key);
        if (deployed.length > 0) await changeSchemas('remove', deployed);
        await titled(tenantCompensations.releaseSchemas, 'undo schemas', key);
      },
    );
    await step(
      'Phoenix project',
      () => titled(tenantResources.ensurePhoenixProject, 'get or create', key),
      () => titled(tenantCompensations.deletePhoenixProject, 'undo Phoenix project', key),
    );
    if (plan.memoryEnabled)
      await step('memory', () => titled(tenantResources.proveMemory, 'write, read back, remove', key));
    await step('verification', () => titled(tenantResources.verifyTenant, 'every store answers', key));
    const result = await step('activation', () => titled(tenants.activate, 'open for use', key));
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: 'completed' }]);
    return result;
  } catch (error) {
    const failure: Failure = isCancellation(error)
      ? { code: 'Conflict', message: 'the creation was cancelled' }
      : failureRecord(error);
    const state = isCancellation(error) ? 'cancelled' : 'failed';
    await CancellationScope.nonCancellable(async () => {
      for (const { what, run } of undo.reverse()) {
        steps.begin(`undo ${what}`);
        await run().catch((e: unknown) =>
          log.error('compensation given up', { tenant, what, error: String(e) }),
        );
        steps.done(`undo ${what}`);
      }
      await titled(tenants.failCreate, failure.message.slice(0, 150), { ...key, state, failure });
      upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: state }]);
    });
    if (isCancellation(error)) throw error;
    throw operationFailure(failure);
  }
}
versioned('PINNED', createTenant);

/** What the Temporal UI shows under "current details". */
class Progress {
  private readonly lines = new Map<string, 'doing' | 'done'>();

  constructor(private readonly tenant: string) {}

  begin(what: string): void {
    this.lines.set(what, 'doing');
    this.show();
  }

  done(what: string): void {
    this.lines.set(what, 'done');
    this.show();
  }

  private show(): void {
    const lines = [...this.lines].map(([what, state]) => `- [${state === 'done' ? 'x' : ' '}] ${what}`);
    setCurrentDetails(`**Create tenant \`${this.tenant}\`**\n\n${lines.join('\n')}`);
  }
}
