import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
  makeTelemetryFilterString,
} from '@temporalio/worker';
import pino from 'pino';
import { toFailure } from '../activities/failures.js';
import { gateInterceptors } from '../src/access/workerInterceptor.js';
import { OpsError } from '../src/domain/errors.js';
import { TASK_QUEUES } from '../src/domain/naming.js';
import { redactForeign } from '../src/domain/redaction.js';
import { parseListenAddress } from '../src/metrics/listenAddress.js';
import { type MetricsServer, serveTenantMetrics } from '../src/metrics/server.js';
import { workerDataConverterOf } from '../src/payloads/converter.js';
import { ensureSystemSchedules } from '../src/schedules/systemSchedules.js';
import { type Settings, loadSettings } from '../src/settings.js';
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
  if (role === 'data') collectLessOften();
  const settings = loadSettings();
  const logger = pino(
    { level: settings.logLevel, base: { role, pid: process.pid } },
    redacted(process.stdout),
  );
  installRuntime(logger, settings);

  const dataConverter = await workerDataConverterOf(settings);
  const connection = await NativeConnection.connect({ address: settings.temporalAddress });
  const resources = await openResources(settings, connection, logger);
  let metrics: MetricsServer | undefined;
  try {
    if (role === 'control') metrics = await serveMetrics(resources, logger);
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
      ...(dataConverter ? { dataConverter } : {}),
      interceptors: {
        activity: [
          gateInterceptors(resources.gate, toFailure),
          ...(resources.telemetry ? [activityInterceptors(resources.telemetry)] : []),
        ],
      },
      ...(role === 'control' ? await controlOptions(resources) : dataOptions()),
    });
    if (role === 'control') await ensureSystemSchedules(resources.client, settings.vespaCluster);
    logger.info({ address: settings.temporalAddress, taskQueue: TASK_QUEUES[role] }, 'worker ready');
    await worker.run();
  } finally {
    await metrics?.close();
    await resources.close();
    await connection.close();
  }
}

/**
 * A data worker keeps 40 MB of objects, most of them modules, while 15 MB of pictures and bodies pass through with every
 * video. V8 counts those buffers against a limit that it sets a little above what is kept, so it would go through all
 * the 40 MB every third video: 20 ms of processor a video. At four times what is kept it does so a tenth as often. V8 reads the
 * flag whenever it sets the limit; its `--max-old-space-size` still holds.
 */
function collectLessOften(): void {
  setFlagsFromString('--heap-growing-percent=300');
}

async function controlOptions({ telemetry, settings, gate }: Resources): Promise<Partial<WorkerOptions>> {
  // Never bundled on the fly: what runs is what was built, replayed and tested.
  // Where payloads are encrypted workflows write their failures otherwise.
  const file = settings.payloadKeys === '' ? 'workflow-bundle.js' : 'workflow-bundle-encrypted.js';
  const bundle = fileURLToPath(new URL(`../${file}`, import.meta.url));
  await readFile(bundle).catch(() => {
    throw new OpsError('NotFound', `no workflow bundle at ${bundle}`, 'build it with: npm run build');
  });
  return {
    workflowBundle: { codePath: bundle },
    sinks: workflowSinks(telemetry, (run, tenant) => gate.isOf(run, tenant)),
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

async function serveMetrics(
  { settings: { tenantMetricsAddress }, pool }: Resources,
  logger: pino.Logger,
): Promise<MetricsServer | undefined> {
  if (tenantMetricsAddress === '') return undefined;
  const address = parseListenAddress(tenantMetricsAddress, 'CVOPS_TENANT_METRICS_ADDRESS');
  return serveTenantMetrics(address, pool, (err) => logger.warn({ err }, 'no metrics of the tenants'));
}

function installRuntime(logger: pino.Logger, { metricsAddress }: Settings): void {
  if (metricsAddress !== '') parseListenAddress(metricsAddress, 'CVOPS_METRICS_ADDRESS');
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const { error, ...rest } = meta ?? {};
      logger[levels[level]]({ ...rest, ...(error instanceof Error ? { err: error } : {}) }, message);
    }),
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'WARN' }), forward: {} },
      ...(metricsAddress === '' ? {} : { metrics: { prometheus: { bindAddress: metricsAddress } } }),
    },
  });
}

/** The lines of a log without secrets: what is logged of an error holds whatever its library puts there. */
function redacted(to: NodeJS.WritableStream): pino.DestinationStream {
  return { write: (line) => void to.write(redactForeign(line)) };
}

/** Says why a worker ended before its time, in one line. */
export function reportFailure(error: unknown): void {
  const text =
    error instanceof OpsError
      ? `${error.message}${error.hint ? ` (${error.hint})` : ''}`
      : redactForeign(String(error));
  process.stderr.write(`worker: ${text}\n`);
  process.exitCode = 1;
}
