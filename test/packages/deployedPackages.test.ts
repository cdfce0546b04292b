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
  const checker = await VespaChecker.start();
  const refused: string[] = [];
  try {
    let previous: Package | undefined;
    for (const generation of generations) {
      const files = packageOf(generation);
      const { status, text } = await checker.validate(files, previous);
      if (status !== 0) refused.push(`${generation}: ${text}`);
      previous = files;
    }
  } finally {
    await checker.close();
  }
  expect(refused).toEqual([]);
});

function packageOf(generation: number): Package {
  const root = path.join(recordedPackages, String(generation));
  const names = (readdirSync(root, { recursive: true }) as string[]).filter((name) =>
    statSync(path.join(root, name)).isFile(),
  );
  return new Map(names.map((name) => [name, readFileSync(path.join(root, name))]));
}
