import { CancellationScope, uuid4, workflowInfo } from '@temporalio/workflow';
import type {
  IsolationCheck,
  VerifyIsolationInput,
  VerifyIsolationResult,
} from '../src/contracts/isolation.js';
import { type OperationId, parseOperationId } from '../src/domain/ids.js';
import { endingOf, thrownFor } from './failures.js';
import { noteState } from './operationState.js';
import { isolation, isolationStores, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Tenants of one activity; more where there are so many that the history would grow long. */
const PAGE = 50;
const MAX_PAGES = 100;

interface Page {
  readonly operation: OperationId;
  readonly from: number;
  readonly to: number;
}

/**
 * Plants a canary in every store of every tenant that takes part, lets each look for all of them by its own ways, and
 * takes them away again, whatever came of it. Something found is a result, not a failure.
 */
export async function verifyIsolation(asked: VerifyIsolationInput): Promise<VerifyIsolationResult> {
  const byHand = 'operation' in asked;
  const operation = byHand ? asked.operation : parseOperationId(uuid4());
  const named = byHand && asked.tenants !== 'all' ? asked.tenants : undefined;
  const each = named !== undefined;
  const whose = named?.join(' and ') ?? 'all tenants';
  const steps = new Progress(`Verify the isolation of ${whose}`);
  const { workflowId } = workflowInfo();
  const begin = { ...asked, operation, workflowId };
  const { members } = await titled(isolation.beginIsolation, whose, begin).catch((error: unknown) => {
    throw thrownFor(error);
  });
  const pages = [...pagesOf(operation, members)];
  try {
    await steps.step(
      'what an earlier run left',
      () => titled(isolationStores.removeLeftovers, 'remove it', { operation }),
      ({ tenants }) => (tenants === 0 ? 'nothing' : `removed from ${tenants} tenant(s)`),
    );
    const looked = await plantAndLook(pages, members, each, steps).finally(() =>
      CancellationScope.nonCancellable(() =>
        steps.step(
          'remove the canaries',
          () => remove(pages),
          () => 'none is left',
        ),
      ),
    );
    const result = await titled(isolation.finishIsolation, 'count', { operation, ...looked });
    noteState(result.ok ? 'completed' : 'completed_with_failures');
    return result;
  } catch (error) {
    return CancellationScope.nonCancellable(async () => {
      const { state, failure, thrown } = endingOf(error, 'the verification was cancelled');
      await titled(isolation.failIsolation, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
      throw thrown;
    });
  }
}
versioned('PINNED', verifyIsolation);

function* pagesOf(operation: OperationId, members: number): Generator<Page> {
  const size = Math.max(PAGE, Math.ceil(members / MAX_PAGES));
  for (let from = 1; from <= members; from += size) yield { operation, from, to: from + size - 1 };
}

/** All are planted before anybody looks: each looks for all others' at once, and so a pass a tenant is every pair. */
async function plantAndLook(pages: readonly Page[], members: number, each: boolean, steps: Progress) {
  let planted = 0;
  await steps.step(
    'plant canaries',
    async () => {
      for (const page of pages) {
        planted += (await titled(isolationStores.plantCanaries, titleOf(page), page)).planted;
        steps.note('plant canaries', `${planted} of ${members} tenants`);
      }
    },
    () => `${planted} of ${members} tenants`,
  );
  let [tenants, pairs] = [0, 0];
  const ways: Record<string, number> = {};
  const checks: IsolationCheck[] = [];
  const note = () => `${tenants} of ${planted} tenants, ${pairs} pairs`;
  await steps.step(
    'look for them',
    async () => {
      for (const page of pages) {
        const looked = await titled(isolationStores.lookForCanaries, titleOf(page), { ...page, each });
        tenants += looked.tenants;
        pairs += looked.pairs;
        for (const [way, count] of Object.entries(looked.ways)) ways[way] = (ways[way] ?? 0) + count;
        checks.push(...looked.checks);
        steps.note('look for them', note());
      }
    },
    note,
  );
  return { tenants, pairs, ways, checks };
}

async function remove(pages: readonly Page[]): Promise<void> {
  for (const page of pages) await titled(isolationStores.removeCanaries, titleOf(page), page);
}

function titleOf({ from, to }: Page): string {
  return `tenants ${from} to ${to}`;
}
