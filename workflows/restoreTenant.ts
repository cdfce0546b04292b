import { CancellationScope, executeChild, uuid4 } from '@temporalio/workflow';
import type { RestoreKey } from '../activities/types.js';
import type { RestoreTenantInput, RestoreTenantResult } from '../src/contracts/backupOperations.js';
import type { CreateTenantInput } from '../src/contracts/tenants.js';
import { parseOperationId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import type { BaseSchema } from '../src/domain/profiles.js';
import { createTenant } from './createTenant.js';
import { endingOf, thrownFor } from './failures.js';
import { Fence } from './fence.js';
import { noteState } from './operationState.js';
import { restoreData, restores, tenants, titled } from './options.js';
import { Progress } from './progress.js';
import { SchemaChanges } from './schemaChanges.js';
import { SecondPerson, asStep } from './secondPerson.js';
import { versioned } from './versioning.js';

/**
 * Makes a tenant again what it was when it was backed up, or another tenant of it. All of the backup is verified before
 * the first write; from then on the tenant is `inactive` until everything was read back and compared. A restore that fails
 * leaves it so, and the next one begins anew.
 */
export async function restoreTenant(input: RestoreTenantInput): Promise<RestoreTenantResult> {
  const schemas = new SchemaChanges(input.cluster);
  const { tenant, operation, backup } = input;
  const steps = new Progress(`Restore backup \`${backup}\` into tenant \`${tenant}\``);
  const second = new SecondPerson();
  const begin = () => titled(restoreData.beginRestore, backup, input);
  const decided = await second.agreed(begin, asStep(steps)).catch((error: unknown) => {
    if (input.preview) throw thrownFor(error);
    // Refused here, nothing was done as a rule; but an attempt whose answer was lost may have registered it.
    const asked = { tenant, incarnation: input.incarnation, operation, backup };
    return CancellationScope.nonCancellable(() => giveUp(asked, null, error));
  });
  const { plan, incarnation, create, bases, opens } = decided;
  const result = { ...plan, incarnation, operation };
  if (input.preview) {
    noteState('completed');
    return { ...result, state: 'previewed' };
  }

  const key = { tenant, incarnation, operation, backup };
  const fence = new Fence(key);
  try {
    await steps.step(
      'verification',
      () => titled(restoreData.checkBeforeRestore, 'every part, before anything is written', key),
      ({ parts, bytes }) => `${parts} parts, ${bytes} bytes`,
    );
    if (create) await steps.step('a new life', () => makeTenant(create, operation));
    await steps.step('fence', async () => {
      await fence.raise();
      const closing = { ...key, wasOpen: opens && create === null };
      await titled(restores.closeForRestore, 'inactive until all is there', closing);
    });
    if (!create) await addSchemas(key, bases, schemas, steps);
    if (plan.how === 'replace') await empty(key, bases, steps);
    await steps.step(
      'configuration, videos',
      () => titled(restoreData.restoreRegistry, 'into the registry', key),
      ({ versions, videos }) => `${versions} versions, ${videos} videos`,
    );
    for (const base of bases) await restoreSchema(key, base, steps);
    const { spans } = await steps.step(
      'traces',
      () => titled(restoreData.restoreTraces, 'into Phoenix, read back', key),
      (done) => `${done.spans} spans`,
    );
    const documents = plan.documents + plan.memories;
    const { state } = await titled(restores.finishRestore, opens ? 'open' : 'stays closed', {
      ...{ ...key, opens, documents, spans },
    });
    // The registry says that it is done, whoever cancels now.
    await CancellationScope.nonCancellable(() => fence.lower());
    noteState('completed');
    return { ...result, state };
  } catch (error) {
    return CancellationScope.nonCancellable(() => giveUp(key, fence, error));
  }
}
versioned('PINNED', restoreTenant);

/** The tenant, closed and empty, as any is made: an operation of its own. */
async function makeTenant(create: CreateTenantInput, restore: string): Promise<void> {
  const operation = parseOperationId(uuid4());
  const { tenant, principal } = create;
  const reason = create.reason || `for restore ${restore}`;
  await executeChild(createTenant, {
    ...operationMarks({
      kind: 'createTenant',
      workflowId: workflowIds.createTenant(tenant),
      ...{ tenant, operation, principal, reason },
      summary: `create tenant ${tenant} for a restore`,
      priority: 2,
    }),
    args: [{ ...create, operation, reason }],
  });
}

/** Schemas of the backup that the tenant has not. */
async function addSchemas(
  key: RestoreKey,
  bases: readonly BaseSchema[],
  schemas: SchemaChanges,
  steps: Progress,
): Promise<void> {
  const have = await titled(restores.schemasThere, 'which there are', key);
  const add = bases.filter((base) => !have.includes(base));
  if (add.length === 0) return;
  await steps.step('schemas', async () => {
    await titled(tenants.reserveSchemas, add.join(', '), { ...key, bases: add });
    const { tenant, incarnation, operation } = key;
    await schemas.change({ id: `${operation}/add`, tenant, incarnation, add, remove: [] });
  });
}

async function empty(key: RestoreKey, bases: readonly BaseSchema[], steps: Progress): Promise<void> {
  const have = await titled(restores.schemasThere, 'which there are', key);
  for (const base of new Set([...bases, ...have]))
    await steps.step(
      `empty ${base}`,
      () => titled(restoreData.emptySchema, base, { ...key, base }),
      ({ removed }) => `${removed} documents removed`,
    );
  await steps.step('empty traces', () => titled(restoreData.clearTraces, 'drain, delete, count', key));
}

async function restoreSchema(key: RestoreKey, base: BaseSchema, steps: Progress): Promise<void> {
  await steps.step(
    base,
    async () => {
      await titled(restoreData.restoreDocuments, base, { ...key, base });
      return titled(restoreData.compareDocuments, `${base}: read back`, { ...key, base });
    },
    ({ documents }) => `${documents} documents, read back`,
  );
}

async function giveUp(key: RestoreKey, fence: Fence | null, error: unknown): Promise<never> {
  const { state, failure, thrown } = endingOf(error, 'the restore was cancelled');
  await fence?.lower();
  await titled(restores.failRestore, failure.message.slice(0, 150), { ...key, state, failure });
  noteState(state);
  throw thrown;
}
