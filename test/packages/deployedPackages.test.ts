import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Package } from '../support/recordedConfigServer.js';
import { recordedPackages } from '../support/recordedPackages.js';
import { VespaChecker, checkerPresent } from '../support/vespaChecker.js';

/** At most so many, evenly spread, the last among them; absent: all. */
const PACKAGES = Number(process.env['PACKAGES'] ?? Infinity);

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
  const replacements = generations.map((generation, n) => ({ generation, before: generations[n - 1] }));
  const chosen = spread(replacements, PACKAGES);
  // One JVM does one at a time.
  const half = Math.ceil(chosen.length / 2);
  const refused = await Promise.all([refusedOf(chosen.slice(0, half)), refusedOf(chosen.slice(half))]);
  expect(refused.flat()).toEqual([]);
});

function spread<T>(all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all];
  return Array.from({ length: most }, (_, n) => all[Math.floor(((n + 1) * all.length) / most) - 1]!);
}

interface Replacement {
  readonly generation: number;
  /** That it replaced; undefined for the first. */
  readonly before: number | undefined;
}

async function refusedOf(replacements: readonly Replacement[]): Promise<string[]> {
  const checker = await VespaChecker.start();
  const refused: string[] = [];
  // One that is judged and then replaced is written once.
  let last: { readonly generation: number; readonly files: Package } | undefined;
  try {
    for (const { generation, before } of replacements) {
      const files = packageOf(generation);
      const replaced =
        before === undefined ? undefined : last?.generation === before ? last.files : packageOf(before);
      const { status, text } = await checker.validate(files, replaced);
      if (status !== 0) refused.push(`${generation}: ${text}`);
      last = { generation, files };
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
