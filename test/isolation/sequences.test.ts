import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkSequence, newTally } from '../support/isolation/check.js';
import { type Lane, openLane } from '../support/isolation/lane.js';
import { DEED_NAMES, sequences } from '../support/isolation/sequences.js';
import { type TestRegistry, startTestRegistry } from '../support/registry.js';

const SEQUENCES = Number(process.env['N'] ?? 20_000);
/** Each with a registry of its own: the audit log's lock lets one writer of a registry in at a time. */
const LANES = 4;

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

test(`${SEQUENCES} sequences of operations: none changes another tenant`, async () => {
  const tally = newTally();
  const seed = Date.now() | 0;
  const started = performance.now();
  await Promise.all(
    lanes.map(async (lane, i) => {
      const property = fc.asyncProperty(sequences, (sequence) => checkSequence(lane, sequence, tally));
      await fc.assert(property, { seed: seed + i, numRuns: Math.ceil(SEQUENCES / LANES) });
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`isolation: ${JSON.stringify(tally)} in ${seconds.toFixed(0)} s, seed ${seed}\n`);
  expect(tally.sequences).toBeGreaterThanOrEqual(SEQUENCES);
  expect(tally.collisions).toBeGreaterThan(SEQUENCES / 10);
  for (const name of DEED_NAMES) expect(tally.done[name], name).toBeGreaterThan(SEQUENCES / 100);
});
