import { fileURLToPath } from 'node:url';
import { DefaultLogger, type WorkflowBundleWithSourceMap, bundleWorkflowCode } from '@temporalio/worker';

/** @param file of workflow code, from this folder */
export function bundleOf(file: string): Promise<WorkflowBundleWithSourceMap> {
  const workflowsPath = fileURLToPath(new URL(file, import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
}

/** The real retention with a purge that only moves the row: see `quickPurge.ts`. */
export const quickPurgeBundle = () => bundleOf('./quickPurge.ts');
