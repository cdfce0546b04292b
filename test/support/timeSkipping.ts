import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import { TASK_QUEUES } from '../../src/domain/naming.js';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { productBundle } from './productBundle.js';
import { testServerExecutable } from './temporal.js';

/** Less than a test may take. */
const DEADLINE_MS = 110_000;
/** `INDEXED_VALUE_TYPE_KEYWORD` of the API. */
const KEYWORD = 2;

/**
 * A server whose clock jumps to the next timer whenever no task is open and someone waits for a result or in `sleep`;
 * else it runs as clocks do. It has no schedules and no
 * list of workflows, and loses a workflow task in which a timer is cancelled that fires meanwhile.
 */
export class TimeSkipping {
  private constructor(readonly env: TestWorkflowEnvironment) {}

  static async start(): Promise<TimeSkipping> {
    const env = await TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path: await testServerExecutable() } },
    });
    const names = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => [name, KEYWORD] as const);
    await env.connection.operatorService.addSearchAttributes({
      namespace: 'default',
      searchAttributes: Object.fromEntries(names),
    });
    return new TimeSkipping(env);
  }

  get client() {
    return this.env.client;
  }

  /** The server's clock, in milliseconds since the epoch. */
  now(): Promise<number> {
    return this.env.currentTimeMs();
  }

  async sleepUntil(time: number): Promise<void> {
    const left = time - (await this.now());
    if (left > 0) await this.env.sleep(left);
  }

  /** Runs `work` while a worker for the workflows and all activities runs. A plain error in workflow code fails its run. */
  async withWorker<T>(
    activities: object,
    work: () => Promise<T>,
    { deadlineMs = DEADLINE_MS, ...options }: Partial<WorkerOptions> & { deadlineMs?: number } = {},
  ): Promise<T> {
    const { code } = await productBundle();
    const worker = await Worker.create({
      connection: this.env.nativeConnection,
      taskQueue: TASK_QUEUES.control,
      activities,
      workflowBundle: { code },
      workflowFailureErrorTypes: { '*': ['Error'] },
      ...options,
    });
    // A test that hangs must not keep its worker, which the next one could then not have.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${deadlineMs / 1000} s`)), deadlineMs);
    });
    return worker.runUntil(() => Promise.race([work(), late])).finally(() => clearTimeout(timer));
  }

  async stop(): Promise<void> {
    await this.env.teardown();
  }
}
