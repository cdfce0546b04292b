import { CancellationScope, executeChild } from '@temporalio/workflow';
import type { LeakVerdict, TestIsolationInput, VerifyIsolationResult } from '../src/contracts/isolation.js';
import type { CreateTenantInput } from '../src/contracts/tenants.js';
import { LEAK_KINDS } from '../src/domain/canaries.js';
import { workflowIds } from '../src/domain/naming.js';
import { operationMarks } from '../src/domain/operationMarks.js';
import { createTenant } from './createTenant.js';
import { endingOf, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { isolationStores, isolationTest, titled } from './options.js';
import { Progress } from './progress.js';
import { dropThrowAway } from './throwAway.js';
import { versioned } from './versioning.js';

/** They held next to nothing, and nobody sent them spans. */
const SECOND_LOOK_SECONDS = 2;

/**
 * Proves that the verification of isolation would see a leak: plants one of each kind with two throw-away tenants, which
 * are deleted for good whatever came of it. A leak that is not seen is a result, not a failure.
 */
export async function testIsolation(input: TestIsolationInput): Promise<VerifyIsolationResult> {
  const { operation } = input;
  const begun = await titled(isolationTest.beginIsolationTest, 'two tenants', input).catch(
    (error: unknown) => {
      throw thrownFor(error);
    },
  );
  const creations = begun.creations as [CreateTenantInput, CreateTenantInput];
  const steps = new Progress(`Self-test of isolation: ${LEAK_KINDS.length} leaks`);
  try {
    const verdicts = await prove(input, creations, steps).finally(() =>
      CancellationScope.nonCancellable(() =>
        steps.step('delete the two throw-away tenants', () => drop(input, creations)),
      ),
    );
    const result = await titled(isolationTest.finishIsolationTest, 'count', { operation, verdicts });
    noteState(result.ok ? 'completed' : 'completed_with_failures');
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the self-test was cancelled');
      await titled(isolationTest.failIsolationTest, failure.message.slice(0, 150), {
        operation,
        state,
        failure,
      });
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', testIsolation);

async function prove(
  { operation }: TestIsolationInput,
  creations: readonly [CreateTenantInput, CreateTenantInput],
  steps: Progress,
): Promise<LeakVerdict[]> {
  await steps.step('make two throw-away tenants', () => Promise.all(creations.map(create)));
  const tenants = [creations[0].tenant, creations[1].tenant] as const;
  const verdicts: LeakVerdict[] = [];
  for (const kind of LEAK_KINDS)
    verdicts.push(
      await steps.step(
        kind,
        () => titled(isolationStores.proveLeak, kind, { operation, kind, tenants }),
        ({ seen }) => (seen ? 'seen' : 'not seen'),
      ),
    );
  return verdicts;
}

function create(input: CreateTenantInput): Promise<unknown> {
  const { tenant, operation, principal, reason } = input;
  return executeChild(createTenant, {
    ...operationMarks({
      kind: 'createTenant',
      workflowId: workflowIds.createTenant(tenant),
      ...{ tenant, operation, principal, reason },
      summary: `create tenant ${tenant} for a self-test`,
      priority: 4,
    }),
    args: [input],
  });
}

async function drop(
  { cluster, principal, operation }: TestIsolationInput,
  creations: readonly CreateTenantInput[],
): Promise<void> {
  const asked = { cluster, principal, reason: `self-test of isolation ${operation}` };
  await Promise.all(
    creations.map(({ tenant, incarnation }) =>
      dropThrowAway(asked, tenant, incarnation, SECOND_LOOK_SECONDS),
    ),
  );
}
