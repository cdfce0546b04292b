import { type Workflow, setWorkflowOptions, workflowInfo } from '@temporalio/workflow';

/**
 * Sets how a workflow type moves between worker deployment versions. Only a worker that runs with a deployment version
 * may name a behaviour: from any other one the server refuses every workflow task ("versioning behavior cannot be
 * specified without deployment options being set with versioned mode"), so the workflows would never begin.
 */
export function versioned(behavior: 'PINNED' | 'AUTO_UPGRADE', workflow: Workflow): void {
  setWorkflowOptions(
    () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: behavior } : {}),
    workflow,
  );
}
