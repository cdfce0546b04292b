import { fileURLToPath } from 'node:url';
import {
  DefaultLogger,
  Runtime,
  type WorkflowBundleWithSourceMap,
  bundleWorkflowCode,
} from '@temporalio/worker';

// Here, because a process may do it once, and what makes workers in tests comes by here.
Runtime.install({ logger: new DefaultLogger('ERROR') });

/** @param file of workflow code, from this folder */
export function bundleOf(file: string): Promise<WorkflowBundleWithSourceMap> {
  const workflowsPath = fileURLToPath(new URL(file, import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
}

/** The real retention with a purge that only moves the row: see `quickPurge.ts`. */
export const quickPurgeBundle = () => bundleOf('./quickPurge.ts');
