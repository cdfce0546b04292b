import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkSequence, newTally } from '../support/isolation/check.js';
import { type Lane, openLane } from '../support/isolation/lane.js';
import { DEED_NAMES, sequences } from '../support/isolation/sequences.js';
import { type TestRegistry, startTestRegistry } from '../support/registry.js';

/** `.ci/run` asks for fewer, to stay within its time; by itself the test runs them all. */
const SEQUENCES = Number(process.env['ISOLATION_SEQUENCES'] ?? 20_000);
/** Each with a registry of its own: the audit log's lock lets one writer of a registry in at a time. */
const LANES = 4;
/** Measured: ten minutes on two cores with a load of eight. A sequence is some 130 statements. */
const TIMEOUT_MS = 30 * 60_000;

let registry: TestRegistry;
const lanes: Lane[] = [];

beforeAll(async () => {
  registry = await startTestRegistry();
  for (let i = 0; i < LANES; i++) lanes.push(await openLane(await registry.emptyDatabase()));
});
afterAll(async () => {
  for (const lane of lanes) await lane.close();
  await registry.stop();
});

test(`${SEQUENCES} sequences of operations change no other tenant`, { timeout: TIMEOUT_MS }, async () => {
  const tally = newTally();
  const started = performance.now();
  let failing: Lane | undefined;
  const results = await Promise.allSettled(
    lanes.map((lane) => {
      const property = fc.asyncProperty(sequences, async (sequence) => {
        // Only the lane that found something goes on: to shrink it.
        if (failing !== undefined && failing !== lane) return;
        await checkSequence(lane, sequence, tally).catch((error: unknown) => {
          failing ??= lane;
          throw error;
        });
      });
      return fc.assert(property, { numRuns: Math.ceil(SEQUENCES / LANES) });
    }),
  );
  const seconds = Math.round((performance.now() - started) / 1000);
  process.stdout.write(`isolation: ${JSON.stringify(tally)} in ${seconds} s\n`);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  expect(tally.sequences).toBeGreaterThanOrEqual(SEQUENCES);
  // Not empty words: each kind of operation had its effect, and names did collide.
  for (const name of DEED_NAMES) expect(tally.done[name], name).toBeGreaterThan(SEQUENCES / 50);
  expect(tally.collisions).toBeGreaterThan(SEQUENCES / 10);
});
