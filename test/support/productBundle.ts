import { readFile } from 'node:fs/promises';
import { DefaultLogger, Runtime, type WorkflowBundle } from '@temporalio/worker';
import { inject } from 'vitest';

// Here, because a process may do it once, and what makes workers in tests comes by here.
Runtime.install({ logger: new DefaultLogger('ERROR') });

/** The product's workflow code, which `globalBundle.ts` has bundled. */
export const productBundle = async (): Promise<WorkflowBundle> => ({
  code: await readFile(inject('workflowBundle'), 'utf8'),
});
