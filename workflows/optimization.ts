import { isCancellation, setCurrentDetails, upsertMemo } from '@temporalio/workflow';
import type { OptimizationInput, OptimizationResult } from '../src/contracts/optimization.js';
import { failureRecord, operationFailure } from './failures.js';
import { noteState } from './operationState.js';
import { optimizing, titled } from './options.js';
import { versioned } from './versioning.js';

/** Evaluates the spans that a tenant's Phoenix project got since the last run. */
export async function evaluateSpans(input: OptimizationInput): Promise<OptimizationResult> {
  const { tenant, incarnation } = input;
  return scheduled(input, () =>
    titled(optimizing.evaluateSpans, 'spans since the last run', { tenant, incarnation }),
  );
}
versioned('PINNED', evaluateSpans);

/** Labels what the router was unsure of, by the tenant's judge, or leaves it to people in Phoenix. */
export async function annotateSpans(input: OptimizationInput): Promise<OptimizationResult> {
  const { tenant, incarnation } = input;
  return scheduled(input, () =>
    titled(optimizing.annotateSpans, 'decisions without a label', { tenant, incarnation }),
  );
}
versioned('PINNED', annotateSpans);

/** Learns from the labels when there are enough new ones, and writes a new configuration when it is shown to be better. */
export async function retrainRouting(input: OptimizationInput): Promise<OptimizationResult> {
  const { tenant, incarnation } = input;
  return scheduled(input, () =>
    titled(optimizing.retrainRouting, 'is there enough to learn from?', { tenant, incarnation, now: false }),
  );
}
versioned('PINNED', retrainRouting);

/** A run of a schedule: no operation of its own, as most find little; how it ended is in its marks and in the registry. */
async function scheduled(
  { tenant, what }: OptimizationInput,
  run: () => Promise<OptimizationResult>,
): Promise<OptimizationResult> {
  const show = (now: string) => setCurrentDetails(`**Optimization of \`${tenant}\`: ${what}**: ${now}`);
  const end = (state: string, why?: string) => {
    if (why !== undefined && why !== '') upsertMemo({ why: why.slice(0, 500) });
    noteState(state);
  };
  show('begins');
  try {
    const { outcome, count, why } = await run();
    end(outcome === 'done' ? 'completed' : 'skipped', why);
    show([outcome === 'done' ? `done: ${count}` : 'skipped', ...(why ? [why] : [])].join('; '));
    return { outcome, count, ...(why ? { why } : {}) };
  } catch (error) {
    if (isCancellation(error)) {
      end('cancelled');
      throw error;
    }
    const failure = failureRecord(error);
    // Closed while it ran: nothing is wrong.
    if (failure.code === 'WrongState') {
      end('skipped', failure.message);
      show(`skipped; ${failure.message}`);
      return { outcome: 'skipped', count: 0, why: failure.message };
    }
    end('failed', failure.message);
    show(`failed: ${failure.message}`);
    throw operationFailure(failure);
  }
}
