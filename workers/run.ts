import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
  makeTelemetryFilterString,
} from '@temporalio/worker';
import pino from 'pino';
import { OpsError } from '../src/domain/errors.js';
import { TASK_QUEUES } from '../src/domain/naming.js';
import { ensureSystemSchedules } from '../src/schedules/systemSchedules.js';
import { loadSettings } from '../src/settings.js';
import { activityInterceptors, workflowSinks } from '../src/telemetry/temporal.js';
import { type Resources, openResources } from './activities.js';

export type WorkerRole = 'control' | 'data';

/** The activities a worker serves, once what they need is open. */
export type ActivitiesOf = (resources: Resources) => object;

/**
 * Runs a worker until its process is asked to end. `control` runs the workflows and the short activities, `data` runs
 * ffmpeg, encoding and feeding. Addresses come from the environment or the embedded stack (src/settings.ts).
 */
export async function runWorker(role: WorkerRole, activitiesOf: ActivitiesOf): Promise<void> {
  const settings = loadSettings();
  const logger = pino({ level: settings.logLevel, base: { role, pid: process.pid } });
  installRuntime(logger);

  const connection = await NativeConnection.connect({ address: settings.temporalAddress });
  const resources = await openResources(settings, connection, logger);
  try {
    const worker = await Worker.create({
      connection,
      namespace: settings.temporalNamespace,
      taskQueue: TASK_QUEUES[role],
      // Heartbeats carry cancellations back: a throttle of a minute would make a cancel a minute late.
      maxHeartbeatThrottleInterval: '3s',
      shutdownGraceTime: '10s',
      shutdownForceTime: '30s',
      ...deploymentVersion(),
      activities: activitiesOf(resources),
      ...(resources.telemetry
        ? { interceptors: { activity: [activityInterceptors(resources.telemetry)] } }
        : {}),
      ...(role === 'control' ? await controlOptions(resources) : dataOptions()),
    });
    if (role === 'control') await ensureSystemSchedules(resources.client, settings.vespaCluster);
    logger.info({ address: settings.temporalAddress, taskQueue: TASK_QUEUES[role] }, 'worker ready');
    await worker.run();
  } finally {
    await resources.close();
    await connection.close();
  }
}

async function controlOptions({ telemetry }: Resources): Promise<Partial<WorkerOptions>> {
  // Never bundled on the fly: what runs is what was built, replayed and tested.
  const bundle = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
  await readFile(bundle).catch(() => {
    throw new OpsError('NotFound', `no workflow bundle at ${bundle}`, 'build it with: npm run build');
  });
  return {
    workflowBundle: { codePath: bundle },
    sinks: workflowSinks(telemetry),
    maxCachedWorkflows: 500,
    maxConcurrentActivityTaskExecutions: 100,
    workflowTaskPollerBehavior: { type: 'autoscaling', minimum: 2, maximum: 20, initial: 4 },
    activityTaskPollerBehavior: { type: 'autoscaling', minimum: 1, maximum: 20, initial: 4 },
  };
}

function dataOptions(): Partial<WorkerOptions> {
  return {
    // A video's work is ffmpeg and encoding: more at once than this only makes each one slower.
    maxConcurrentActivityTaskExecutions: Math.max(2, availableParallelism()) * 2,
    activityTaskPollerBehavior: { type: 'autoscaling', minimum: 1, maximum: 10, initial: 2 },
  };
}

/** Deployment versioning is on where a version is given (the worker controller's two variables). */
function deploymentVersion(): Partial<WorkerOptions> {
  const deploymentName = process.env['TEMPORAL_DEPLOYMENT_NAME'];
  const buildId = process.env['TEMPORAL_WORKER_BUILD_ID'];
  if (!deploymentName || !buildId) return {};
  return {
    workerDeploymentOptions: {
      version: { deploymentName, buildId },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'PINNED',
    },
  };
}

function installRuntime(logger: pino.Logger): void {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const { error, ...rest } = meta ?? {};
      logger[levels[level]]({ ...rest, ...(error instanceof Error ? { err: error } : {}) }, message);
    }),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN' }), forward: {} } },
  });
}

/** Says why a worker ended before its time, in one line. */
export function reportFailure(error: unknown): void {
  const text =
    error instanceof OpsError ? `${error.message}${error.hint ? ` (${error.hint})` : ''}` : String(error);
  process.stderr.write(`worker: ${text}\n`);
  process.exitCode = 1;
}
