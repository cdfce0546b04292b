import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { startStack } from '../../src/embedded/stack.js';
import { projectRoot } from '../../src/projectRoot.js';
import type { StackAddresses } from '../../src/settings.js';
import { recordedPackages } from './recordedPackages.js';

declare module 'vitest' {
  interface ProvidedContext {
    stack: { readonly home: string; readonly addresses: StackAddresses };
  }
}

/**
 * One whole embedded stack for all integration tests of a run, as `cvops up` starts it, in a home of its own. It needs
 * `dist/` (`npm test` builds it): the workers and the emulator run as the processes they are.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = path.join(projectRoot, '.cvops', 'test-home');
  await rm(recordedPackages, { recursive: true, force: true });
  process.env['CVOPS_RECORD_PACKAGES'] = recordedPackages;
  process.env['CVOPS_VENV'] ??= path.join(projectRoot, '.cvops', 'venv');
  const stack = await startStack({
    home,
    portOffset: 13_000,
    log: (line) => process.stderr.write(`stack: ${line}\n`),
    env: {},
  });
  project.provide('stack', { home, addresses: stack.addresses });
  return () => stack.stop();
}
