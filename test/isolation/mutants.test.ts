import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Leak, checkSequence, newTally } from '../support/isolation/check.js';
import { openLane } from '../support/isolation/lane.js';
import { MUTANTS } from '../support/isolation/mutants.js';
import { type Sequence, sequences, stepText } from '../support/isolation/sequences.js';
import { type TestRegistry, startTestRegistry } from '../support/registry.js';

/** Each of these faults shows in one of some ten sequences. */
const RUNS = 500;
/** Shrinking ends now and then at five steps, from where no single change leads on: the same start each time. */
const SEED = 1;

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

describe('the property sees that', () => {
  test.for(Object.entries(MUTANTS))('%s', async ([, mutant]) => {
    const lane = await openLane(await registry.emptyDatabase(), mutant);
    try {
      const property = fc.asyncProperty(sequences, (sequence) => checkSequence(lane, sequence, newTally()));
      const { failed, errorInstance, counterexample, numRuns } = await fc.check(property, {
        numRuns: RUNS,
        seed: SEED,
      });
      expect(failed).toBe(true);
      expect(errorInstance).toBeInstanceOf(Leak);
      const [{ steps }] = counterexample as [Sequence];
      process.stdout.write(
        `${(errorInstance as Error).message} (sequence ${numRuns}, as ${steps.map(stepText).join(', ')})\n`,
      );
      expect(steps.length).toBeLessThanOrEqual(4);
    } finally {
      await lane.close();
    }
  });
});
