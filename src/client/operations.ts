import type { WorkflowHandle, WorkflowUpdateHandle } from '@temporalio/client';
import type { OperationId } from '../domain/ids.js';
import { toOpsError } from './failures.js';

/** An operation that was started: it goes on whether or not anyone waits for it. */
export class OperationHandle<T> {
  constructor(
    readonly operation: OperationId,
    readonly workflow: WorkflowHandle,
    /** The workflow in the Temporal UI. */
    readonly uiUrl: string,
  ) {}

  /** Waits for the end. @throws OpsError with the operation's typed failure */
  async result(): Promise<T> {
    try {
      return (await this.workflow.result()) as T;
    } catch (error) {
      throw toOpsError(error);
    }
  }

  /**
   * Where it stands, as the Markdown the Temporal UI shows under "current details".
   *
   * @returns undefined when no worker answers the query just now
   */
  async currentDetails(): Promise<string | undefined> {
    try {
      const metadata = await this.workflow.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
      return metadata.currentDetails ?? undefined;
    } catch {
      return undefined;
    }
  }
}

/** An operation that is an update of a workflow which goes on afterwards. */
export class UpdateHandle<T> extends OperationHandle<T> {
  constructor(
    operation: OperationId,
    workflow: WorkflowHandle,
    uiUrl: string,
    private readonly update: WorkflowUpdateHandle<T>,
  ) {
    super(operation, workflow, uiUrl);
  }

  override async result(): Promise<T> {
    try {
      return await this.update.result();
    } catch (error) {
      throw toOpsError(error);
    }
  }
}

export function workflowUrl(uiUrl: string, namespace: string, workflowId: string, runId?: string): string {
  const base = `${uiUrl.replace(/\/$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows`;
  return `${base}/${encodeURIComponent(workflowId)}${runId ? `/${runId}/history` : ''}`;
}
