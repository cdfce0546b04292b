import { ActivityCancellationType, type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import type {
  AccessActivities,
  ApplicationActivities,
  ApprovalActivities,
  BackupActivities,
  DrillActivities,
  FenceActivities,
  HealthActivities,
  IngestActivities,
  IsolationActivities,
  IsolationTestActivities,
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
} from '../activities/types.js';
import { TASK_QUEUES } from '../src/domain/naming.js';

/**
 * A cancelled activity is waited for: what it does until it hears of it must be over before anybody counts or cleans up.
 * The SDK's documents call this the default; in 1.24 an option that is left out reaches the server as "try to cancel",
 * and the workflow goes on while the activity still writes.
 */
const cancellationType = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;

/**
 * Timeouts and retries, one set a kind of work. Expected failures are non-retryable where they are thrown
 * (`activities/failures.ts`), so a retry here is always for something that may pass.
 */
const registry: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '20s',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' },
  // The registry is the truth of every operation: without it none may be called done, so an outage is waited out.
  scheduleToCloseTimeout: '1 day',
};

/** A call to an outside system that a saga may give up on and compensate. */
const outside: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '10m',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
};

/** Undoing must not be given up early: what is left behind would be nobody's. */
const compensation: ActivityOptions = { ...outside, scheduleToCloseTimeout: '1 day' };

/** One deploy of the application package with its convergence; heartbeats while it waits. */
const deploy: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '15m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '30m',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
};

/** A webhook of an operator's: nothing waits for it longer than this. */
const notice: ActivityOptions = { ...registry, scheduleToCloseTimeout: '1h' };

/**
 * Counting, draining and emptying the stores of one tenant; heartbeats. An outage is waited out for a day: then the
 * operation fails, the tenant stays `purging`, and the next run goes on.
 */
const purge: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '2h',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '1 day',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
};

/** Reading a folder into the ledger. */
const listing: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.data,
  startToCloseTimeout: '6h',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 20 },
};

/**
 * One video from file to documents. The heartbeat timeout is how long a killed worker's video stays orphaned. No
 * `maximumAttempts`: an attempt that found the tenant busy is one like any other to Temporal.
 * The activity counts in the ledger how often the video itself was begun, and gives it up by that (`src/limits/tries.ts`).
 */
const video: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.data,
  startToCloseTimeout: '6h',
  heartbeatTimeout: '15s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
};

/**
 * What goes through much of a tenant's data, such as to or from a backup store; heartbeats. An outage is waited out for a
 * day: what was done by then is noted, and an operation that is run again goes on there.
 */
const backup: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.data,
  startToCloseTimeout: '1 day',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '2 days',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
};

/** Emptying one backup's folder in its store, which the data workers reach; heartbeats. What outlasts an hour is for the next prune. */
const backupRemoval: ActivityOptions = { ...backup, startToCloseTimeout: '1h', scheduleToCloseTimeout: '1h' };

/**
 * Reading a tenant's spans and asking its judge; heartbeats. What an hour's outage of Phoenix swallows the next run makes
 * up for: it goes on where this one was.
 */
const optimization: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '30m',
  heartbeatTimeout: '45s',
  scheduleToCloseTimeout: '1h',
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '2m' },
};

/**
 * Planting and looking for canaries in the stores of a page of tenants; heartbeats. They must not stay for long, so an
 * outage fails the run sooner than elsewhere; what it could not take away the next one does.
 */
const isolationPage: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '1h',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '2h',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
};

/**
 * A look at the health of a page of tenants, or telling of it; heartbeats. An outage of the registry is not waited out: the
 * next look comes by its schedule.
 */
const looks: ActivityOptions = {
  cancellationType,
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '12m',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
};

/** Nobody waits for an answer to an update longer than this. */
export const messages = proxyActivities<AccessActivities>({ ...registry, scheduleToCloseTimeout: '2m' });
export const approvals = proxyActivities<ApprovalActivities>({ ...registry, scheduleToCloseTimeout: '1h' });
export const tenants = proxyActivities<TenantActivities>(registry);
export const tenantResources = proxyActivities<TenantActivities>(outside);
export const tenantCompensations = proxyActivities<TenantActivities>(compensation);
export const application = proxyActivities<ApplicationActivities>(deploy);
export const schemaRequests = proxyActivities<ApplicationActivities>(registry);
export const retention = proxyActivities<RetentionActivities>(registry);
export const retentionNotices = proxyActivities<RetentionActivities>(notice);
export const purging = proxyActivities<PurgeActivities>(registry);
export const purgeStores = proxyActivities<PurgeActivities>(purge);
export const reconciling = proxyActivities<ReconcileActivities>(purge);
export const healthLooks = proxyActivities<HealthActivities>(looks);
export const healthSteps = proxyActivities<HealthActivities>(registry);
export const quotaPages = proxyActivities<QuotaActivities>(purge);
export const rollout = proxyActivities<RolloutActivities>(registry);
export const rolloutWave = proxyActivities<RolloutActivities>(purge);
export const pruning = proxyActivities<PruneActivities>(registry);
export const pruneRemoval = proxyActivities<PruneActivities>(backupRemoval);
export const scheduledBackups = proxyActivities<ScheduledBackupActivities>(registry);
export const optimizing = proxyActivities<OptimizeActivities>(optimization);
/** A creation waits for it, but not for long. */
export const optimizationSchedules = proxyActivities<OptimizeActivities>({
  ...outside,
  scheduleToCloseTimeout: '1m',
});
export const optimizeLedger = proxyActivities<OptimizeActivities>(registry);
export const ingestListing = proxyActivities<IngestActivities>(listing);
/** Counts by visiting a whole schema, however many documents it holds. */
export const ingestCount = proxyActivities<IngestActivities>(purge);
export const ingestLedger = proxyActivities<IngestActivities>(registry);
export const backups = proxyActivities<BackupActivities>(registry);
export const backupCleanup = proxyActivities<BackupActivities>(purge);
export const backupData = proxyActivities<BackupActivities>(backup);
export const drills = proxyActivities<DrillActivities>(registry);
export const memories = proxyActivities<MemoryActivities>(registry);
/** What touches the memories themselves, however many there are. */
export const memoryData = proxyActivities<MemoryActivities>(backup);
export const fence = proxyActivities<FenceActivities>(registry);
export const fenceWait = proxyActivities<FenceActivities>(purge);
export const restores = proxyActivities<RestoreActivities>(registry);
export const restoreData = proxyActivities<RestoreActivities>(backup);
export const isolation = proxyActivities<IsolationActivities>(registry);
export const isolationStores = proxyActivities<IsolationActivities & IsolationTestActivities>(isolationPage);
export const isolationTest = proxyActivities<IsolationTestActivities>(registry);
export const ingestVideo = proxyActivities<IngestActivities>(video);

interface Titled<A extends unknown[], R> {
  executeWithOptions(options: ActivityOptions, args: A): Promise<R>;
}

/** Calls an activity under a summary: the Temporal UI shows it instead of the bare type name. */
export function titled<A extends unknown[], R>(
  activity: Titled<A, R>,
  summary: string,
  ...args: A
): Promise<R> {
  return activity.executeWithOptions({ summary }, args);
}
