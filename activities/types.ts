import type { IngestVideosInput, IngestVideosResult } from '../src/contracts/ingest.js';
import type {
  CreateTenantInput,
  CreateTenantResult,
  SchemaChangeOutcome,
  SchemaChangeRequest,
} from '../src/contracts/tenants.js';
import type { FailureType } from '../src/domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../src/domain/ids.js';
import type { BaseSchema, ProfileName } from '../src/domain/profiles.js';

/**
 * The activities as workflows see them. One object in, one plain JSON object out, never over 64 KiB; each may run twice
 * or be killed at any line with the same outcome.
 */

/** Names one life of a tenant and the operation that works on it. */
export interface TenantKey {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  readonly operation: OperationId;
}

/** How an operation failed, as its row keeps it. */
export interface Failure {
  readonly code: FailureType;
  readonly message: string;
  readonly hint?: string;
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
  activate(key: TenantKey): Promise<CreateTenantResult>;
  failCreate(
    input: TenantKey & { readonly state: 'failed' | 'cancelled'; readonly failure: Failure },
  ): Promise<void>;
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
  /** Reads the folder into the ledger, items numbered from 1. */
  listVideos(input: IngestVideosInput): Promise<{ items: number }>;
  /** One video from file to documents read back; a video that cannot be ingested is an answer, not an error. */
  ingestVideo(input: {
    readonly tenant: TenantId;
    readonly operation: OperationId;
    readonly profile: ProfileName;
    /** What the ledger's paths are relative to. */
    readonly folder: string;
    readonly item: number;
  }): Promise<{ state: 'stored' | 'unchanged' | 'failed'; documents: number }>;
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
