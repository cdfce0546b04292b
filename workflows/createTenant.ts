import { CancellationScope, log } from '@temporalio/workflow';
import type { CreateTenantInput, CreateTenantResult } from '../src/contracts/tenants.js';
import type { BaseSchema } from '../src/domain/profiles.js';
import { endingOf, failureRecord, operationFailure } from './failures.js';
import { noteState } from './operationState.js';
import { optimizationSchedules, tenantCompensations, tenantResources, tenants, titled } from './options.js';
import { Progress } from './progress.js';
import { SchemaChanges } from './schemaChanges.js';
import { versioned } from './versioning.js';

/**
 * Creates a tenant: registry row → configuration from its template → schemas → Phoenix project → memory → verified →
 * active. On a final failure it undoes what it did in reverse and leaves the tenant `creation_failed`; a second create
 * is then allowed.
 */
export async function createTenant(input: CreateTenantInput): Promise<CreateTenantResult> {
  const { tenant, incarnation, operation } = input;
  const key = { tenant, incarnation, operation };
  const schemas = new SchemaChanges(input.cluster);
  const steps = new Progress(`Create tenant \`${tenant}\``);
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
    return steps.step(what, run);
  };
  const changeSchemas = (verb: 'add' | 'remove', bases: readonly BaseSchema[]): Promise<void> =>
    schemas.change({
      id: `${operation}/${verb}`,
      tenant,
      incarnation,
      add: verb === 'add' ? [...bases] : [],
      remove: verb === 'remove' ? [...bases] : [],
    });

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
    const result = await step('activation', () =>
      input.restore
        ? titled(tenants.activate, 'done, and closed', { ...key, restore: input.restore })
        : titled(tenants.activate, 'open for use', key),
    );
    // Not part of the saga: the tenant is open, and what is missing the daily reconciliation makes.
    if (input.scheduleOptimization)
      await titled(optimizationSchedules.scheduleOptimization, 'schedules', { tenant, incarnation }).catch(
        (error: unknown) => log.warn('no optimization schedules yet', { tenant, error: String(error) }),
      );
    noteState('completed');
    return result;
  } catch (error) {
    const { state, failure, thrown } = endingOf(error, 'the creation was cancelled');
    await CancellationScope.nonCancellable(async () => {
      for (const { what, run } of undo.reverse()) {
        steps.begin(`undo ${what}`);
        await run().catch((e: unknown) =>
          log.error('compensation given up', { tenant, what, error: String(e) }),
        );
        steps.done(`undo ${what}`);
      }
      await titled(tenants.failCreate, failure.message.slice(0, 150), { ...key, state, failure });
      noteState(state);
    });
    throw thrown;
  }
}
versioned('PINNED', createTenant);
