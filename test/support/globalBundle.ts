import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleOf } from './bundles.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** File of the product's workflow code as it is now, bundled. */
    workflowBundle: string;
  }
}

/** The workflow code is bundled once for all files of tests: it takes seconds, and is the same for each. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bundle-'));
  const file = path.join(folder, 'workflows.js');
  const { code } = await bundleOf('../../workflows/index.ts');
  await writeFile(file, code);
  project.provide('workflowBundle', file);
  return () => rm(folder, { recursive: true, force: true });
}
