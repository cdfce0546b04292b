import { condition, setHandler, workflowInfo } from '@temporalio/workflow';
import type { SchemaChangeOutcome, SchemaChangeRequest } from '../src/contracts/tenants.js';
import { operationFailure } from './failures.js';
import { schemasChanged } from './messages.js';
import { schemaRequests, titled } from './options.js';

/** How long an operation waits for `vespaApplication`; its own deploy gives up after 30 minutes. */
const DEADLINE = '45 minutes';

/**
 * Asks the cluster's `vespaApplication` for schema changes on behalf of the running workflow: by signal, answered by
 * signal. One of these per workflow, made before its first await.
 */
export class SchemaChanges {
  private readonly outcomes = new Map<string, SchemaChangeOutcome>();

  constructor(private readonly cluster: string) {
    setHandler(schemasChanged, (outcome) => void this.outcomes.set(outcome.id, outcome));
  }

  /** @throws ApplicationFailure `Rejected` with the server's reason, `Unavailable` when no answer came */
  async change(request: Omit<SchemaChangeRequest, 'replyTo'>): Promise<void> {
    const verb = request.remove.length > 0 ? 'remove' : 'add';
    const count = request.add.length + request.remove.length;
    await titled(schemaRequests.requestSchemaChange, `${verb} ${count} schema(s)`, {
      cluster: this.cluster,
      request: { ...request, replyTo: workflowInfo().workflowId },
    });
    if (!(await condition(() => this.outcomes.has(request.id), DEADLINE))) {
      throw operationFailure({
        code: 'Unavailable',
        message: 'the Vespa application workflow did not answer in time',
      });
    }
    const { ok, error } = this.outcomes.get(request.id)!;
    if (!ok)
      throw operationFailure({
        code: 'Rejected',
        message: error?.message ?? 'the schema change was refused',
      });
  }
}
