import { CancellationScope } from '@temporalio/workflow';
import type { OptimizeTenantInput, OptimizeTenantResult } from '../src/contracts/optimization.js';
import { endingOf } from './failures.js';
import { noteState } from './operationState.js';
import { optimizeLedger, optimizing, titled } from './options.js';
import { Progress } from './progress.js';
import { versioned } from './versioning.js';

/** Evaluates, labels and retrains now, one after the other: what the schedules do, when a person asks. */
export async function optimizeTenant(input: OptimizeTenantInput): Promise<OptimizeTenantResult> {
  const { tenant, incarnation, operation } = input;
  const life = { tenant, incarnation };
  const progress = new Progress(`Optimize the routing of ${tenant}`);
  try {
    await titled(optimizeLedger.beginOptimize, 'is it enabled?', input);
    const evaluated = await progress.step(
      'evaluate spans',
      () => titled(optimizing.evaluateSpans, 'spans since the last run', life),
      ({ count }) => `${count}`,
    );
    const annotated = await progress.step(
      'label what the router was unsure of',
      () => titled(optimizing.annotateSpans, 'decisions without a label', life),
      ({ count, failed, forPeople }) =>
        `${count} by the judge, ${failed} in vain, ${forPeople} left to people`,
    );
    const learnt = await progress.step(
      'learn',
      () => titled(optimizing.retrainRouting, 'is there enough to learn from?', { ...life, now: true }),
      ({ why }) => why,
    );
    const { retrained, applied, before, after, version, why } = learnt;
    const counts = {
      ...{ evaluated: evaluated.count, annotated: annotated.count },
      ...{ retrained: Number(retrained), applied: Number(applied) },
    };
    await titled(optimizeLedger.finishOptimize, 'count', { operation, counts });
    noteState('completed');
    return {
      ...{ tenant, operation, evaluated: evaluated.count, annotated: annotated.count },
      ...{ retrained, applied, version, before, after, judge: annotated.why ?? null, why },
    };
  } catch (error) {
    const { state, failure, thrown } = endingOf(error, 'the optimization was cancelled; what it did stays');
    await CancellationScope.nonCancellable(async () => {
      await titled(optimizeLedger.failOptimize, failure.message.slice(0, 150), { operation, state, failure });
      noteState(state);
    });
    throw thrown;
  }
}
versioned('PINNED', optimizeTenant);
