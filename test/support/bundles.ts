import { fileURLToPath } from 'node:url';
import { DefaultLogger, type WorkflowBundleWithSourceMap, bundleWorkflowCode } from '@temporalio/worker';

/** @param file of workflow code, and of interceptors, from this folder */
export function bundleOf(
  file: string,
  interceptors: readonly string[] = [],
): Promise<WorkflowBundleWithSourceMap> {
  const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  return bundleWorkflowCode({
    workflowsPath: pathOf(file),
    workflowInterceptorModules: interceptors.map(pathOf),
    logger: new DefaultLogger('ERROR'),
  });
}

/** The real retention with a purge that only moves the row: see `quickPurge.ts`. */
export const quickPurgeBundle = () => bundleOf('./quickPurge.ts');
