import {
  CancellationScope,
  ContinueAsNew,
  allHandlersFinished,
  condition,
  continueAsNew,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { DeploySchemasInput, DeploySchemasResult, RolloutState } from '../src/contracts/rollout.js';
import type { SchemaChangeOutcome } from '../src/contracts/tenants.js';
import { endingOf, thrownFor } from './failures.js';
import { schemasChanged } from './messages.js';
import { noteState } from './operationState.js';
import { rollout, rolloutWave, titled } from './options.js';
import { versioned } from './versioning.js';

/** How long a wave is waited for; a deploy gives up after 30 minutes. */
const WAVE_DEADLINE = '90 minutes';
const MAX_HISTORY = 2_500;
/** Reasons are for people: the ledger keeps the beginning of each. */
const MAX_REASON = 400;
/** Failures that one activity is told of: bounds its input. */
const MAX_FAILURES = 100;

/**
 * Brings the schemas of one tenant, several or all to where they should be, in waves of 1, 10 % and all. Every wave is
 * as few deploys as `vespaApplication` can make of it. A tenant that is refused fails alone, by name; after a wave with
 * more failures than allowed the rest is skipped.
 */
export async function deploySchemas(start: DeploySchemasInput | RolloutState): Promise<DeploySchemasResult> {
  const resumed = 'version' in start ? start : undefined;
  const input = 'version' in start ? start.input : start;
  const { operation, cluster, bases, maxFailures } = input;
  const generations = new Set(resumed?.generations ?? []);
  const outcomes = new Map<number, SchemaChangeOutcome>();
  let failed = resumed?.failed ?? 0;
  let wave = resumed?.next ?? 1;
  setHandler(schemasChanged, (outcome) => {
    if (outcome.changed === true) generations.add(outcome.generation);
    const [of, item] = outcome.id.split('/').slice(-2).map(Number);
    // A request that was sent twice is answered twice, and the second answer may come in the next wave.
    if (of === wave) outcomes.set(item!, outcome);
  });

  const waves =
    resumed?.waves ??
    (
      await titled(rollout.beginRollout, 'who is in it', input).catch((error: unknown) => {
        throw thrownFor(error);
      })
    ).waves;
  const describe = (doing: string): void =>
    setCurrentDetails(
      `**Deploy schemas**: wave **${wave}** of ${waves}: ${doing}\n\n` +
        `- **${outcomes.size}** answered\n- **${failed}** failed\n- **${generations.size}** deploys`,
    );

  try {
    for (; wave <= waves && failed <= maxFailures; wave++) {
      outcomes.clear();
      const replyTo = workflowInfo().workflowId;
      describe('asks');
      const { requested } = await titled(rolloutWave.requestWave, `wave ${wave}`, {
        operation,
        cluster,
        bases,
        wave,
        replyTo,
      });
      describe(`waits for ${requested} answer(s)`);
      await condition(() => outcomes.size >= requested, WAVE_DEADLINE, {
        summary: `answers to wave ${wave}`,
      });
      failed = await settle(operation, wave, outcomes);
      describe('settled');
      if (wave < waves && failed <= maxFailures && workflowInfo().historyLength > MAX_HISTORY) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof deploySchemas>({
          version: 1,
          input,
          waves,
          next: wave + 1,
          generations: [...generations],
          failed,
        });
      }
    }
    const result = await titled(rollout.finishRollout, 'count', {
      operation,
      deployments: generations.size,
      why: `stopped after wave ${wave - 1}: ${failed} tenant(s) failed`,
    });
    noteState(failed > 0 ? 'completed_with_failures' : 'completed');
    return result;
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    const { state, failure, thrown } = endingOf(error, 'the rollout was cancelled; what was deployed stays');
    await CancellationScope.nonCancellable(async () => {
      await titled(rollout.failRollout, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
    });
    throw thrown;
  }
}
versioned('PINNED', deploySchemas);

/** Writes the wave's ends into the ledger. @returns how many tenants have failed so far, all waves */
async function settle(
  operation: DeploySchemasInput['operation'],
  wave: number,
  outcomes: ReadonlyMap<number, SchemaChangeOutcome>,
): Promise<number> {
  const failures = [...outcomes]
    .filter(([, { ok }]) => !ok)
    .map(([item, { error }]) => ({ item, reason: (error?.message ?? 'refused').slice(0, MAX_REASON) }));
  const answered = [...outcomes].filter(([, { ok }]) => ok).map(([item]) => item);
  let failed = 0;
  for (let from = 0; from === 0 || from < failures.length; from += MAX_FAILURES) {
    const page = failures.slice(from, from + MAX_FAILURES);
    const last = from + MAX_FAILURES >= failures.length;
    // Items that nobody speaks of are failed too, so only the last page settles the wave.
    ({ failed } = await titled(rolloutWave.settleWave, `wave ${wave}: ${page.length} failed`, {
      operation,
      wave,
      answered: last ? answered : [],
      failures: page,
      last,
    }));
  }
  return failed;
}
