import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ApprovalDecision, Decided } from '../src/contracts/approvals.js';
import type { IngestProgress } from '../src/contracts/ingest.js';
import type { ExtendRequest, RetentionRequest, RetentionStatus } from '../src/contracts/life.js';
import type {
  ApplicationStatus,
  SchemaChangeOutcome,
  SchemaChangeRequest,
} from '../src/contracts/tenants.js';

/**
 * Asks `vespaApplication` for a change and returns when it is deployed, converged, or refused. A server allows 10
 * updates in flight per workflow by default (`history.maxInFlightUpdates`), so this is for callers outside; workflows,
 * of which there may be hundreds at once, send `requestSchemaChange` and are signalled back.
 */
export const changeSchemas = defineUpdate<SchemaChangeOutcome, [SchemaChangeRequest]>('changeSchemas');
export const requestSchemaChange = defineSignal<[SchemaChangeRequest]>('requestSchemaChange');
export const applicationStatus = defineQuery<ApplicationStatus>('status');

/** `vespaApplication`'s answer to the workflow named in `replyTo`. */
export const schemasChanged = defineSignal<[SchemaChangeOutcome]>('schemasChanged');

export const pauseIngest = defineUpdate<IngestProgress>('pause');
export const resumeIngest = defineUpdate<IngestProgress>('resume');
export const setIngestConcurrency = defineUpdate<IngestProgress, [{ concurrency: number }]>('setConcurrency');
export const ingestProgress = defineQuery<IngestProgress>('progress');

/** Answers when the tenant is inactive, or with why it could not be made so. */
export const deactivated = defineUpdate<RetentionStatus>('deactivated');
/** `inactive → active` with schedules resumed; refused when the retention has ended. */
export const reactivate = defineUpdate<RetentionStatus, [RetentionRequest]>('reactivate');
export const extendRetention = defineUpdate<RetentionStatus, [ExtendRequest]>('extendRetention');
/** Ends the retention now; answers with the operation that purges. */
export const purgeNow = defineUpdate<RetentionStatus, [RetentionRequest]>('purgeNow');
export const retentionStatus = defineQuery<RetentionStatus>('status');
/** The registry has changed: look again now. */
export const wake = defineSignal('wake');

/** A second administrator's answer to what waits for one. */
export const decideApproval = defineUpdate<Decided, [ApprovalDecision]>('decideApproval');

/** There is more to tell of alerts. */
export const alertsChanged = defineSignal('alertsChanged');
