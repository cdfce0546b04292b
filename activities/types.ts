import type {
  BackupTenantInput,
  BackupTenantResult,
  DrillRestoreInput,
  RestorePlan,
  RestoreTenantInput,
  VerifyBackupInput,
  VerifyBackupResult,
} from '../src/contracts/backupOperations.js';
import type { ApprovalDecision, Decided } from '../src/contracts/approvals.js';
import type { IngestVideosInput, IngestVideosResult, TurnResult } from '../src/contracts/ingest.js';
import type {
  CreateTenantInput,
  CreateTenantResult,
  SchemaChangeOutcome,
  SchemaChangeRequest,
} from '../src/contracts/tenants.js';
import type {
  ExtendRequest,
  HardDeleteInput,
  HardDeleteResult,
  RetentionInput,
  RetentionRequest,
  Running,
} from '../src/contracts/life.js';
import type { CheckHealthResult } from '../src/contracts/health.js';
import type { DeploySchemasInput, DeploySchemasResult } from '../src/contracts/rollout.js';
import type { PruneBackupsInput, PruneBackupsResult, Unremoved } from '../src/contracts/backupKeeping.js';
import type {
  IsolationCheck,
  LeakVerdict,
  TestIsolationInput,
  VerifyIsolationInput,
  VerifyIsolationResult,
  WayCounts,
} from '../src/contracts/isolation.js';
import type { OptimizationResult, OptimizeTenantInput } from '../src/contracts/optimization.js';
import type {
  ClearMemoryInput,
  ClearMemoryResult,
  ImportMemoryInput,
  ImportMemoryResult,
  PruneMemoryInput,
} from '../src/contracts/memory.js';
import type { Held } from '../src/domain/approvals.js';
import type { ApprovalRow } from '../src/registry/approvals.js';
import type { BackupId } from '../src/domain/backups.js';
import type { LeakKind } from '../src/domain/canaries.js';
import type { KeepPolicy } from '../src/domain/keepPolicy.js';
import type { MemoryRetention } from '../src/domain/memory.js';
import type { StoreCount } from '../src/domain/purge.js';
import type { TenantState } from '../src/domain/states.js';
import type { FailureType } from '../src/domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../src/domain/ids.js';
import type { BaseSchema, ProfileName } from '../src/domain/profiles.js';

/**
 * The activities as workflows see them. One object in, one plain JSON object out, never over 64 KiB; each may run twice
 * or be killed at any line with the same outcome.
 */

/** Names one life of a tenant. */
export interface TenantLife {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
}

/** Names one life of a tenant and the operation that works on it. */
export interface TenantKey extends TenantLife {
  readonly operation: OperationId;
}

/** How an operation failed, as its row keeps it. */
export interface Failure {
  readonly code: FailureType;
  readonly message: string;
  readonly hint?: string;
}

/** How an operation that did not succeed ends. */
export interface OperationEnd {
  readonly operation: OperationId;
  readonly state: 'failed' | 'cancelled';
  readonly failure: Failure;
}

export interface AccessActivities {
  /** Lets in an update, by what its sender has shown. Fails `PermissionDenied`. */
  authorizeMessage(input: {
    readonly name: string;
    readonly id: string;
    readonly args: readonly unknown[];
    readonly shown: unknown;
  }): Promise<void>;
}

export interface TenantActivities {
  /** Registers tenant and operation. Fails `WrongState` when the tenant exists. */
  beginCreate(input: CreateTenantInput): Promise<{ bases: BaseSchema[]; memoryEnabled: boolean }>;
  /** System and routing configuration, version 1, from the template and its overrides. */
  writeInitialConfig(input: CreateTenantInput): Promise<void>;
  removeConfig(key: TenantKey): Promise<void>;
  /** Claims the physical names. Fails `Conflict` when a name or its Java hash belongs to somebody else. */
  reserveSchemas(input: TenantKey & { readonly bases: readonly BaseSchema[] }): Promise<void>;
  /** Every base schema this incarnation has a row for, deployed or not. */
  schemasToRemove(key: TenantKey): Promise<BaseSchema[]>;
  /** Gives up names that never were deployed. */
  releaseSchemas(key: TenantKey): Promise<void>;
  ensurePhoenixProject(key: TenantKey): Promise<void>;
  deletePhoenixProject(key: TenantKey): Promise<void>;
  /** Writes a memory document, reads it back, removes it. */
  proveMemory(key: TenantKey): Promise<void>;
  /** Every schema deployed and answering, configuration readable, project there. Fails `VerificationFailed`. */
  verifyTenant(key: TenantKey): Promise<void>;
  /** `creating → active`; `inactive` until a restore has ended well when it is made for one. */
  activate(key: TenantKey & { readonly restore?: OperationId }): Promise<CreateTenantResult>;
  failCreate(input: TenantKey & OperationEnd): Promise<void>;
}

export interface ApplicationActivities {
  /** Hands a request to the cluster's `vespaApplication`, starting it if needed; it signals the asker back. */
  requestSchemaChange(input: {
    readonly cluster: string;
    readonly request: SchemaChangeRequest;
  }): Promise<void>;
  /** One read-modify-write of the application package for all requests; a bad one is refused alone. */
  deployBatch(input: {
    readonly cluster: string;
    readonly requests: readonly SchemaChangeRequest[];
  }): Promise<{
    outcomes: SchemaChangeOutcome[];
    generation: number;
    deploys: number;
  }>;
}

export interface IngestActivities {
  /** Registers the operation. Fails `NotFound`, `WrongState`, or `NotFound` for a profile the tenant does not have. */
  beginIngest(input: IngestVideosInput): Promise<void>;
  /** Reads the source into the ledger, items numbered from 1. Fails as the source does; `InvalidInput` without a video. */
  listVideos(input: IngestVideosInput): Promise<{ items: number }>;
  /** How many videos a run with `onlyChanged` would take. Fails as `beginIngest` and `listVideos` do. */
  findChanges(
    input: Pick<IngestVideosInput, 'tenant' | 'source' | 'profile' | 'unattended' | 'incarnation'>,
  ): Promise<{ changed: number }>;
  /** One video from file to documents read back; a video that cannot be ingested is an answer, not an error. */
  ingestVideo(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly profile: ProfileName;
    /** What the ledger's paths are relative to; see `parseSource`. */
    readonly source: string;
    readonly item: number;
  }): Promise<{ state: 'stored' | 'unchanged' | 'failed'; documents: number }>;
  /**
   * Ingests videos one after the other, until they are done or the turn is over: `left` are those it did not begin. What
   * ended before counts as done, so a turn that is killed goes on where it was.
   */
  ingestTurn(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly profile: ProfileName;
    readonly source: string;
    /** At most 10. */
    readonly items: readonly number[];
  }): Promise<TurnResult>;
  /** Tells the turns in work that the run is paused. */
  notePaused(input: { readonly operation: OperationId; readonly paused: boolean }): Promise<void>;
  /**
   * Compares the count of documents in the tenant's schema with what the registry says was stored, read back by id before.
   * While other runs write to the schema it can only be bounded. Fails `Unavailable` when documents are missing.
   */
  countStored(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly profile: ProfileName;
  }): Promise<{ documents: number }>;
  /** Gives an item up: takes away what was fed of it, and ends it as failed. */
  failItem(input: {
    readonly operation: OperationId;
    readonly item: number;
    readonly reason: string;
  }): Promise<void>;
  /** Counts the ledger, which is the truth, and closes the operation. */
  finishIngest(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly how: 'finished' | 'cancelled';
  }): Promise<IngestVideosResult>;
  failIngest(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly failure: Failure;
  }): Promise<void>;
}

/** What a second administrator has to agree to; see `src/access/secondPerson.ts`. */
export interface ApprovalActivities {
  /** Fails `PermissionDenied` to who has asked, `NotFound`, `WrongState`. */
  decideApproval(input: ApprovalDecision): Promise<Decided & Pick<ApprovalRow, 'verb' | 'request'>>;
  withdrawApproval(input: { readonly operation: OperationId }): Promise<void>;
}

/** The wait between a soft delete and the purge; every answer is the registry's. */
export interface RetentionActivities {
  /** `active → inactive` until `purgeAt` (ms since the epoch). Fails `WrongState`. */
  beginRetention(input: RetentionInput & { readonly purgeAt: number }): Promise<Held | undefined>;
  /** Pauses the tenant's schedules; those a person had paused are not counted as ours to resume. */
  pauseSchedules(key: TenantKey): Promise<{ schedules: number }>;
  /** Resumes them and ends the operation that reactivated. */
  resumeSchedules(key: TenantKey): Promise<{ schedules: number }>;
  /** How many of the tenant's operations run; with `cancel` they are asked to stop. */
  stopRunning(input: TenantKey & { readonly running: Running }): Promise<{ running: number }>;
  endDeactivation(key: TenantKey): Promise<void>;
  readRetention(life: TenantLife): Promise<{ state: TenantState; purgeAt: number | null }>;
  /** Audit entry and webhook, once for a date and distance. */
  giveNotice(input: TenantLife & { readonly purgeAt: number; readonly days: number }): Promise<void>;
  /** `inactive → active` before the end of the retention. Fails `WrongState`. */
  reactivate(input: RetentionRequest & { readonly now: number }): Promise<void>;
  extendRetention(input: ExtendRequest & { readonly now: number }): Promise<{ purgeAt: number } | Held>;
}

export interface PurgeActivities {
  /**
   * `… → purging`; `creating` when a creation must be stopped first. Fails `WrongState` when somebody reactivated or
   * extended, `InvalidInput` without a key to sign the certificate.
   */
  beginPurge(
    input: HardDeleteInput & { readonly now: number; readonly creationStopped: boolean },
  ): Promise<{ state: 'purging' | 'creating' } | Held>;
  stopCreation(key: TenantKey): Promise<void>;
  /** Pauses schedules and ends every operation of the tenant but this one. */
  stopOperations(key: TenantKey): Promise<{ stopped: number; terminated: number }>;
  /** Waits until Phoenix has stored what it had accepted: only then a count is one. */
  drainTraces(key: TenantKey): Promise<void>;
  /** Writes down what is there, the first time; totals only. */
  countStores(key: TenantKey): Promise<{ things: number; total: number }>;
  schemasToPurge(key: TenantKey): Promise<{
    lives: { incarnation: Incarnation; bases: BaseSchema[]; names: string[] }[];
  }>;
  noteSchemasErased(key: TenantKey): Promise<void>;
  eraseTraces(key: TenantKey): Promise<void>;
  eraseSchedules(key: TenantKey): Promise<void>;
  eraseLedger(key: TenantKey): Promise<void>;
  eraseConfiguration(key: TenantKey): Promise<void>;
  /** Counts every store again; at most 50 of what is left. */
  readBack(input: TenantKey & { readonly look: 'first' | 'second' }): Promise<{ residuals: StoreCount[] }>;
  /** Signs and keeps the certificate and ends the life. Fails `VerificationFailed` naming what is unproven. */
  issueCertificate(input: HardDeleteInput): Promise<HardDeleteResult>;
  failPurge(input: TenantKey & { readonly failure: Failure }): Promise<void>;
}

/** Starts what should run and does not: after a lost namespace, or a purge that failed. */
export interface ReconcileActivities {
  reconcileRetention(input: { readonly cluster: string }): Promise<{ retentions: number; purges: number }>;
}

/** Looks at what is there, opens and resolves alerts, and tells of them. Changes nothing else. */
export interface HealthActivities {
  checkInstallation(): Promise<{ opened: number; resolved: number }>;
  /** The page after `after`, or the one tenant. Fails `NotFound`. */
  checkTenants(input: {
    readonly tenant: TenantId | null;
    readonly after: string;
  }): Promise<CheckHealthResult & { readonly next: string | null }>;
  /** Starts `deliverAlerts`, or makes it look again. */
  requestDelivery(): Promise<void>;
  /** Tells log and webhook what is due. */
  deliverAlerts(): Promise<{ told: number; pending: number; dueInSeconds: number }>;
}

/** What is counted of tenants beside what they have. */
export interface QuotaActivities {
  /** A page of tenants after an id, in its order; one that fails does not stop the others. `next` null: it was the last. */
  reconcileQuotaPage(input: { readonly after: string }): Promise<{
    readonly next: string | null;
    readonly checked: number;
    readonly corrected: number;
    readonly failed: number;
  }>;
}

/** A rollout of schemas over many tenants; whom it is for and how each ended are rows of its ledger. */
export interface RolloutActivities {
  /** Fails `NotFound` or `WrongState` for a tenant that was named and is not active. */
  beginRollout(input: DeploySchemasInput): Promise<{ tenants: number; waves: number }>;
  /** Claims names and asks `vespaApplication` for every pending tenant of a wave; answers go to `replyTo`. */
  requestWave(input: {
    readonly operation: OperationId;
    readonly cluster: string;
    readonly bases: readonly BaseSchema[] | null;
    readonly wave: number;
    readonly replyTo: string;
  }): Promise<{ requested: number }>;
  /** Ends items of a wave; with `last`, also those that nobody answered for. */
  settleWave(input: {
    readonly operation: OperationId;
    readonly wave: number;
    readonly answered: readonly number[];
    readonly failures: readonly { readonly item: number; readonly reason: string }[];
    readonly last: boolean;
  }): Promise<{ failed: number }>;
  /** Skips what is left, counts the ledger and closes the operation. */
  finishRollout(input: {
    readonly operation: OperationId;
    readonly deployments: number;
    readonly why: string;
  }): Promise<DeploySchemasResult>;
  failRollout(input: OperationEnd): Promise<void>;
}

/** Names a slice of the documents of one schema. */
export interface SliceKey {
  readonly backup: BackupId;
  readonly base: BaseSchema;
  readonly slice: number;
}

/** Names a backup that is being made. */
export interface BackupKey extends TenantKey {
  readonly backup: BackupId;
}

export interface BackupActivities {
  /** Registers operation and backup, and lays out the slices. Fails `WrongState`, `PermissionDenied`, `InvalidInput`. */
  beginBackup(input: BackupTenantInput): Promise<{
    incarnation: Incarnation;
    slices: { base: BaseSchema; slice: number }[];
  }>;
  /** Writes a slice's documents in parts; goes on after the last part that was noted. */
  backUpSlice(key: SliceKey): Promise<{ documents: number }>;
  /** Reads a slice again. `same`: Vespa holds what was written. */
  compareSlice(key: SliceKey): Promise<{ same: boolean }>;
  /** All that was written of a slice is void. */
  restartSlice(key: SliceKey): Promise<void>;
  /** Configuration, schemas and what is known of the videos. */
  backUpRegistry(key: BackupKey): Promise<{ versions: number; videos: number }>;
  /** Spans, annotations and notes. */
  backUpTraces(key: BackupKey): Promise<{ spans: number; annotations: number; notes: number }>;
  /** Writes the manifest, reads it back, and ends the operation. */
  finishBackup(
    input: BackupKey & {
      readonly passes: number;
      /** Whether the last pass found nothing different. */
      readonly settled: boolean;
      /** Since when the fence stands, ISO 8601; null: there is none. */
      readonly fencedFrom: string | null;
      readonly now: number;
    },
  ): Promise<BackupTenantResult>;
  /** Takes away what was stored and ends the operation; one that never was registered is fine. */
  failBackup(
    input: Omit<BackupKey, 'incarnation'> & {
      readonly state: 'failed' | 'cancelled';
      readonly failure: Failure;
    },
  ): Promise<void>;
  /** Registers the operation. */
  beginVerify(input: VerifyBackupInput): Promise<{ tenant: TenantId }>;
  /** Reads the backup, or a sample of it, and notes what came of it. */
  checkBackup(input: VerifyBackupInput): Promise<VerifyBackupResult>;
  failVerify(input: OperationEnd): Promise<void>;
}

/** Restores a backup into a throw-away tenant, to see that it can be done. */
export interface DrillActivities {
  /** Picks the backup and the throw-away tenant's id, and registers the operation. */
  beginDrill(input: DrillRestoreInput): Promise<{ backup: BackupId; into: TenantId }>;
  /** The backup is proven by a restore. */
  finishDrill(input: {
    readonly operation: OperationId;
    readonly backup: BackupId;
    readonly documents: number;
    readonly memories: number;
    readonly spans: number;
  }): Promise<void>;
  failDrill(input: OperationEnd): Promise<void>;
}

/** Closes a tenant to changes while it is copied. */
export interface FenceActivities {
  raiseFence(key: TenantKey): Promise<{ from: string }>;
  /** Until nobody is in the middle of a change. */
  awaitWriters(key: TenantKey): Promise<void>;
  renewFence(key: TenantKey): Promise<{ held: boolean }>;
  lowerFence(key: TenantKey): Promise<void>;
}

/** Names a restore and the life it goes into. */
export interface RestoreKey extends TenantKey {
  readonly backup: BackupId;
}

export interface RestoreDecision {
  readonly plan: RestorePlan;
  /** The life to restore into: there already, or to be made by `create`. */
  readonly incarnation: Incarnation;
  readonly create: CreateTenantInput | null;
  readonly bases: BaseSchema[];
  /** Whether the tenant is to be open afterwards. */
  readonly opens: boolean;
}

export interface RestoreActivities {
  /** Decides what is to be done, and registers the operation unless it is a preview. Changes nothing of the tenant. */
  beginRestore(input: RestoreTenantInput): Promise<RestoreDecision | Held>;
  /** Reads all of the backup before anything is written. Fails `VerificationFailed`. */
  checkBeforeRestore(key: RestoreKey): Promise<{ parts: number; bytes: number }>;
  /**
   * Makes the tenant inactive and says that a restore has begun on it. Fails `WrongState` when something else of it runs,
   * or when it was open at the start and has been deactivated since.
   */
  closeForRestore(key: RestoreKey & { readonly wasOpen: boolean }): Promise<void>;
  /** Base schemas that the tenant has in Vespa. */
  schemasThere(key: RestoreKey): Promise<BaseSchema[]>;
  restoreRegistry(key: RestoreKey): Promise<{ versions: number; videos: number }>;
  /** Takes every document out of a schema, and counts that none is left. */
  emptySchema(key: RestoreKey & { readonly base: BaseSchema }): Promise<{ removed: number }>;
  clearTraces(key: RestoreKey): Promise<void>;
  /** Feeds the parts that are not done yet. */
  restoreDocuments(key: RestoreKey & { readonly base: BaseSchema }): Promise<{ documents: number }>;
  /** Reads the schema back and compares it with what was fed, and that with the manifest. */
  compareDocuments(key: RestoreKey & { readonly base: BaseSchema }): Promise<{ documents: number }>;
  /** Spans, annotations and notes, read back and compared. */
  restoreTraces(key: RestoreKey): Promise<{ spans: number }>;
  /** Opens the tenant, if it is to be, and ends the operation. */
  finishRestore(
    key: RestoreKey & { readonly opens: boolean; readonly documents: number; readonly spans: number },
  ): Promise<{ state: 'active' | 'inactive' }>;
  /** Ends the operation; a tenant that was written to stays inactive. */
  failRestore(key: RestoreKey & OperationEnd): Promise<void>;
}

/** Removes the backups that a policy does not keep. */
export interface PruneActivities {
  /** Registers the operation. Fails `InvalidInput` for an empty policy, `NotFound`, `PermissionDenied`. */
  beginPrune(input: PruneBackupsInput): Promise<void>;
  /** What is to go, oldest first, at most 100 after `after`, and how many stay. */
  planPrune(input: {
    readonly tenant: TenantId;
    readonly policy: KeepPolicy;
    /** ISO 8601. */
    readonly now: string;
    readonly after: BackupId | null;
  }): Promise<{ remove: { backup: BackupId; why: string }[]; more: boolean }>;
  /**
   * Removes one backup until nothing of it is listed. Fails `WrongState` when it is not to go now: held, in use, the
   * newest; or when its store may be another one.
   */
  removeBackup(input: {
    readonly operation: OperationId;
    readonly backup: BackupId;
    readonly why: string;
  }): Promise<{ objects: number; bytes: number }>;
  /** Counts what is kept and ends the operation. */
  finishPrune(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly removed: number;
    readonly objects: number;
    readonly bytes: number;
    readonly failed: number;
    readonly unremoved: readonly Unremoved[];
  }): Promise<PruneBackupsResult>;
  failPrune(input: OperationEnd): Promise<void>;
}

export interface ScheduledBackupActivities {
  /** The newest complete backup of a life, and how many verifications of its backups were begun. */
  newestBackup(life: TenantLife): Promise<{ backup: BackupId | null; verifications: number }>;
}

/** Evaluates, labels and retrains the routing of one tenant. Each does nothing where that is not enabled. */
export interface OptimizeActivities {
  /** Evaluates what Phoenix has stored since the last time. `count`: spans. */
  evaluateSpans(life: TenantLife): Promise<OptimizationResult>;
  /** Reads labels back, marks decisions for people, and asks the judge where there is one. `count`: its labels. */
  annotateSpans(
    life: TenantLife,
  ): Promise<OptimizationResult & { readonly failed: number; readonly forPeople: number }>;
  /** Learns when there is enough that is new; `now` leaves the days since the last time out of account. */
  retrainRouting(input: TenantLife & { readonly now: boolean }): Promise<
    OptimizationResult & {
      readonly retrained: boolean;
      readonly applied: boolean;
      readonly before: number | null;
      readonly after: number | null;
      readonly version: number | null;
      readonly why: string;
    }
  >;
  /** Makes the schedules of a life where its configurations say so and they are not there. */
  scheduleOptimization(life: TenantLife): Promise<{ made: boolean }>;
  /** Registers the operation. Fails `WrongState` where optimization is not enabled. */
  beginOptimize(input: OptimizeTenantInput): Promise<void>;
  finishOptimize(input: {
    readonly operation: OperationId;
    readonly counts: Readonly<Record<string, number>>;
  }): Promise<void>;
  failOptimize(input: OperationEnd): Promise<void>;
}

/** Operations on a tenant's memories. */
export interface MemoryActivities {
  /** Registers the operation. Fails `NotFound`, `WrongState`, `PermissionDenied`. */
  beginClearMemory(input: ClearMemoryInput): Promise<{ incarnation: Incarnation }>;
  /** Removes all of them and reads back that none is left; goes on where it was. Its operation holds the fence. */
  clearMemory(key: TenantKey): Promise<{ removed: number }>;
  /** Ends the operation. Fails `Conflict` when the tenant was not closed to changes all the time. */
  finishClearMemory(key: TenantKey & { readonly removed: number }): Promise<ClearMemoryResult>;
  /** Registers the operation; fails as above, `InvalidInput` for a retention without an age. */
  beginPruneMemory(
    input: PruneMemoryInput & { readonly operation: OperationId; readonly workflowId: string },
  ): Promise<{ incarnation: Incarnation }>;
  /** Removes what is too old at `now`, milliseconds since the epoch. Waits while another operation closes the tenant. */
  removeOldMemories(
    input: TenantKey & { readonly retention: MemoryRetention; readonly now: number },
  ): Promise<{ removed: number }>;
  finishPruneMemory(key: TenantKey & { readonly removed: number }): Promise<void>;
  /** Registers the operation; fails as above. */
  beginImportMemory(input: ImportMemoryInput): Promise<{ incarnation: Incarnation }>;
  /** Reads the file to its end before anything is written. Fails `NotFound`, `VerificationFailed`. */
  checkMemoryFile(input: { readonly file: string }): Promise<{ memories: number; sha256: string }>;
  /** Puts every memory of the file, which must be the one that was checked. Waits as `removeOldMemories` does. */
  importMemories(
    input: TenantKey & { readonly file: string; readonly sha256: string },
  ): Promise<{ memories: number }>;
  finishImportMemory(key: TenantKey & { readonly memories: number }): Promise<ImportMemoryResult>;
  /** Ends an operation of any of these; one that never was registered is fine. */
  failMemory(
    key: TenantKey & OperationEnd & { readonly kind: 'clearMemory' | 'pruneMemory' | 'importMemory' },
  ): Promise<void>;
}

/** Tenants of a verification of isolation: items of its members, from inclusive, to inclusive. */
export interface IsolationPage {
  readonly operation: OperationId;
  readonly from: number;
  readonly to: number;
}

/** Plants canaries in the stores of tenants, and lets each look for all of them (docs/isolation.md). */
export interface IsolationActivities {
  /** Registers operation and members. Fails `NotFound`, `WrongState`, `PermissionDenied`, `InvalidInput`. */
  beginIsolation(
    input: VerifyIsolationInput & { readonly operation: OperationId; readonly workflowId: string },
  ): Promise<{ members: number }>;
  /** Takes away what runs that are over left planted. */
  removeLeftovers(input: { readonly operation: OperationId }): Promise<{ tenants: number }>;
  /** A tenant that is closed or not active any more is skipped. */
  plantCanaries(page: IsolationPage): Promise<{ planted: number }>;
  /** What is found goes to the registry; with `each` the answer says every pair that is as it should be. */
  lookForCanaries(page: IsolationPage & { readonly each: boolean }): Promise<{
    tenants: number;
    pairs: number;
    ways: WayCounts;
    checks: IsolationCheck[];
  }>;
  /** Reads back that none is left. Fails `VerificationFailed`. */
  removeCanaries(page: IsolationPage): Promise<void>;
  /** Ends the operation. Fails `WrongState` when one of two named tenants was skipped. */
  finishIsolation(input: {
    readonly operation: OperationId;
    readonly tenants: number;
    readonly pairs: number;
    readonly ways: WayCounts;
    readonly checks: readonly IsolationCheck[];
  }): Promise<VerifyIsolationResult>;
  failIsolation(input: OperationEnd): Promise<void>;
}

/** Plants leaks with two throw-away tenants, to see that a verification finds them. */
export interface IsolationTestActivities {
  /** Registers the operation; the tenants are yet to be made. Fails `PermissionDenied`. */
  beginIsolationTest(input: TestIsolationInput): Promise<{ creations: CreateTenantInput[] }>;
  /** Fails `VerificationFailed` when something is found before the leak is planted. */
  proveLeak(input: {
    readonly operation: OperationId;
    readonly kind: LeakKind;
    readonly tenants: readonly [TenantId, TenantId];
  }): Promise<LeakVerdict>;
  finishIsolationTest(input: {
    readonly operation: OperationId;
    readonly verdicts: readonly LeakVerdict[];
  }): Promise<VerifyIsolationResult>;
  failIsolationTest(input: OperationEnd): Promise<void>;
}
