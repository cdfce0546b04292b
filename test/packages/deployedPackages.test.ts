import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Package } from '../support/recordedConfigServer.js';
import { recordedPackages } from '../support/recordedPackages.js';
import { VespaChecker, checkerPresent } from '../support/vespaChecker.js';

/**
 * Runs after all others: what the integration tests deployed to the shared stack is put before Vespa's own model and
 * change validators, each package against the one it replaced.
 */
test.runIf(checkerPresent)('every package deployed in this run is one that Vespa takes', async () => {
  const generations = existsSync(recordedPackages)
    ? readdirSync(recordedPackages)
        .map(Number)
        .toSorted((a, b) => a - b)
    : [];
  expect(generations.length, 'packages recorded by the integration tests').toBeGreaterThan(10);
  // One JVM does one at a time.
  const half = Math.ceil(generations.length / 2);
  const refused = await Promise.all([
    refusedOf(generations.slice(0, half), undefined),
    refusedOf(generations.slice(half), generations[half - 1]),
  ]);
  expect(refused.flat()).toEqual([]);
});

/** @param before the generation that the first of these replaced */
async function refusedOf(generations: readonly number[], before: number | undefined): Promise<string[]> {
  const checker = await VespaChecker.start();
  const refused: string[] = [];
  try {
    let previous = before === undefined ? undefined : packageOf(before);
    for (const generation of generations) {
      const files = packageOf(generation);
      const { status, text } = await checker.validate(files, previous);
      if (status !== 0) refused.push(`${generation}: ${text}`);
      previous = files;
    }
  } finally {
    await checker.close();
  }
  return refused;
}

function packageOf(generation: number): Package {
  const root = path.join(recordedPackages, String(generation));
  const names = (readdirSync(root, { recursive: true }) as string[]).filter((name) =>
    statSync(path.join(root, name)).isFile(),
  );
  return new Map(names.map((name) => [name, readFileSync(path.join(root, name))]));
}
