import type { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import type {
  ApplicationActivities,
  BackupActivities,
  DrillActivities,
  FenceActivities,
  HealthActivities,
  IngestActivities,
  OptimizeActivities,
  MemoryActivities,
  PruneActivities,
  PurgeActivities,
  QuotaActivities,
  ReconcileActivities,
  RestoreActivities,
  RetentionActivities,
  RolloutActivities,
  ScheduledBackupActivities,
  TenantActivities,
} from '../../activities/types.js';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { productBundle } from './productBundle.js';
import { temporalExecutable } from './temporal.js';

export type FakeActivities = Partial<
  TenantActivities &
    ApplicationActivities &
    IngestActivities &
    RetentionActivities &
    PurgeActivities &
    ReconcileActivities &
    QuotaActivities &
    RolloutActivities &
    BackupActivities &
    RestoreActivities &
    FenceActivities &
    HealthActivities &
    DrillActivities &
    MemoryActivities &
    PruneActivities &
    OptimizeActivities &
    ScheduledBackupActivities
>;

/** A real dev server, the real workflow bundle, and activities of the test's choice on both task queues. */
export class WorkflowBench {
  private constructor(
    readonly env: TestWorkflowEnvironment,
    readonly client: Client,
  ) {}

  static async start(): Promise<WorkflowBench> {
    const env = await TestWorkflowEnvironment.createLocal({
      server: {
        executable: { type: 'existing-path', path: await temporalExecutable() },
        searchAttributes: Object.values(SEARCH_ATTRIBUTES),
      },
    });
    return new WorkflowBench(env, env.client);
  }

  /**
   * Runs `work` while workers for both queues run. A plain error in workflow code fails the run instead of hanging it.
   *
   * @param of other workflow code than the product's
   */
  async withWorkers<T>(
    activities: FakeActivities,
    work: (client: Client) => Promise<T>,
    of: ReturnType<typeof productBundle> = productBundle(),
  ): Promise<T> {
    const { code } = await of;
    const common = {
      connection: this.env.nativeConnection,
      activities: activities as unknown as Record<string, () => Promise<unknown>>,
    };
    const control = await Worker.create({
      ...common,
      taskQueue: TASK_QUEUES.control,
      workflowBundle: { code },
      workflowFailureErrorTypes: { '*': ['Error'] },
    });
    const data = await Worker.create({ ...common, taskQueue: TASK_QUEUES.data });
    return control.runUntil(() => data.runUntil(() => work(this.client)));
  }

  async stop(): Promise<void> {
    await this.env.teardown();
  }
}
