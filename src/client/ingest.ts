import { randomUUID } from 'node:crypto';
import { type WorkflowHandle, WorkflowNotFoundError } from '@temporalio/client';
import { checkInput } from '../contracts/common.js';
import {
  type IngestProgress,
  type IngestVideosInput,
  type IngestVideosResult,
  ingestVideosInput,
} from '../contracts/ingest.js';
import { INGEST_PRIORITY, concurrencyProblem } from '../domain/fairness.js';
import { OpsError } from '../domain/errors.js';
import { type OperationId, type TenantId, parseOperationId } from '../domain/ids.js';
import { workflowIds } from '../domain/naming.js';
import { type ProfileName, parseProfile } from '../domain/profiles.js';
import { parseSource } from '../domain/sources.js';
import { countItemsOf, listItems } from '../ingest/listing.js';
import { isOpen } from '../operations/runs.js';
import { countItems, failedItems } from '../registry/ledger.js';
import { type OperationRow, listOperations } from '../registry/operations.js';
import { schemasOf } from '../registry/schemas.js';
import { type TenantRow, requireTenant } from '../registry/tenants.js';
import { storedAs } from '../registry/videos.js';
import { Sources } from '../sources/sources.js';
import type { Connections } from './connections.js';
import { toOpsError } from './failures.js';
import { hasEnded, ownOperation } from './ownOperation.js';
import type { OperationHandle } from './operations.js';

export interface IngestRequest {
  readonly tenant: TenantId;
  readonly profile: ProfileName;
  /** See `parseSource`: `/folder`, `list:/file`, `s3://bucket/prefix`. */
  readonly source: string;
  /** Only what is new, or looks different in the source than when it was stored. */
  readonly onlyChanged?: boolean;
  readonly concurrency: number;
  readonly reason: string;
}

export interface IngestAgainRequest {
  readonly tenant: TenantId;
  /** `pending`: what a cancelled or lost run has not come to; `failed`: what failed. */
  readonly items: 'pending' | 'failed';
  /** The run to take up; the last one with such items when left out. */
  readonly operation?: OperationId | undefined;
  readonly concurrency: number;
  readonly reason: string;
}

/** What taking a run up again would be. */
export interface IngestAgainPlan {
  readonly tenant: TenantId;
  /** The run that is taken up. */
  readonly operation: OperationId;
  readonly source: string;
  readonly profile: ProfileName;
  readonly items: IngestAgainRequest['items'];
  readonly videos: number;
}

/** What to change in a run that is under way. */
export type IngestChange = 'pause' | 'resume' | { readonly concurrency: number };

/** How far back a run to take up is looked for. */
const LOOK_BACK = 200;

/** Bulk ingestion: start, take up again, steer. */
export class IngestClient {
  constructor(private readonly connections: Connections) {}

  /**
   * Counts page by page, on this machine and with its credentials.
   *
   * @throws OpsError as the operation would at its start
   */
  async plan(request: IngestRequest): Promise<{ tenant: TenantId; schema: string; videos: number }> {
    const { pool } = this.connections;
    await this.connections.authorize('ingest', request.tenant);
    await this.authorizeSource(request);
    requireConcurrency(request.concurrency);
    const row = await requireTenant(pool, request.tenant, 'ingest');
    const owned = await schemasOf(pool, row.incarnation);
    const schema = owned.find((s) => s.baseSchema === request.profile);
    if (schema === undefined)
      throw new OpsError('NotFound', `tenant ${request.tenant} does not have the profile ${request.profile}`);
    const sources = new Sources(this.connections.settings);
    try {
      const except = request.onlyChanged
        ? { as: storedAs(row.incarnation, request.profile, await this.encoderId()) }
        : undefined;
      const reader = await sources.reader(request.source, this.connections.reach);
      const videos = await countItemsOf(listItems(pool, reader, except));
      return { tenant: request.tenant, schema: schema.schemaName, videos };
    } finally {
      await sources.close();
    }
  }

  private async encoderId(): Promise<string> {
    // Here, as it brings an HTTP client with it that no other command needs.
    const { encoderOf } = await import('../encoders/port.js');
    const encoder = encoderOf(this.connections.settings);
    await encoder.close();
    return encoder.id;
  }

  /** @throws OpsError `InvalidInput`, `NotFound`, `PermissionDenied`, `WrongState` */
  async start(request: IngestRequest): Promise<OperationHandle<IngestVideosResult>> {
    await this.connections.authorize('ingest', request.tenant);
    await this.authorizeSource(request);
    await requireTenant(this.connections.pool, request.tenant, 'ingest');
    return this.run(request);
  }

  /**
   * Takes a former run up again, under an operation of its own: what is stored already is `unchanged`.
   *
   * @throws OpsError `NotFound`, `WrongState` when it still runs, or nothing is left of it, `PermissionDenied` when its
   *   source is none of the places of who asks now
   */
  async again(request: IngestAgainRequest): Promise<OperationHandle<IngestVideosResult>> {
    const { former, source, profile } = await this.takeUp(request);
    const { tenant, items, concurrency, reason } = request;
    return this.run({ tenant, source, profile, concurrency, reason }, { operation: former.operation, items });
  }

  /** Which run `again` would take up, and how many videos of it. @throws OpsError as that */
  async planAgain(request: IngestAgainRequest): Promise<IngestAgainPlan> {
    const { former, source, profile } = await this.takeUp(request);
    const { tenant, items, concurrency } = request;
    requireConcurrency(concurrency);
    const { operation } = former;
    const videos = (await countItems(this.connections.pool, operation))[items];
    return { tenant, operation, source, profile, items, videos };
  }

  private async takeUp(
    request: IngestAgainRequest,
  ): Promise<{ former: OperationRow; source: string; profile: ProfileName }> {
    const { tenant } = request;
    await this.connections.authorize('ingest', tenant);
    const row = await requireTenant(this.connections.pool, tenant, 'ingest');
    const former = await this.former(row, request);
    const { folder, profile, ...input } = former.input as Partial<
      Record<'source' | 'folder' | 'profile', string>
    >;
    // Runs of the first versions could only read folders, which are their own source texts.
    const source = input.source ?? folder;
    if (source === undefined || profile === undefined)
      throw new OpsError(
        'WrongState',
        `operation ${former.operation} was begun by a version that did not note where its videos are`,
        `ingest the folder again: cvops ingest ${tenant} PATH --profile P`,
      );
    await this.authorizeSource({ tenant, source });
    return { former, source, profile: parseProfile(profile) };
  }

  /** @throws OpsError `NotFound`, `WrongState` when it does not run, `InvalidInput` */
  async change(operation: OperationId, change: IngestChange, reason = ''): Promise<IngestProgress> {
    const { tenant, handle } = await this.steered(operation, change);
    const what =
      typeof change === 'string' ? { verb: `${change}-ingest` } : { verb: 'pace-ingest', detail: change };
    return this.connections.audited({ ...what, tenant: tenant ?? '-', operation, reason }, async () => {
      try {
        return typeof change === 'string'
          ? await handle.executeUpdate<IngestProgress, []>(change)
          : await handle.executeUpdate<IngestProgress, [{ concurrency: number }]>('setConcurrency', {
              args: [{ concurrency: change.concurrency }],
            });
      } catch (error) {
        // It ended between the look above and the update.
        if (error instanceof WorkflowNotFoundError) throw hasEnded(operation);
        throw toOpsError(error);
      }
    });
  }

  /** Where the run stands that `change` would be made in. @throws OpsError as that */
  async planChange(operation: OperationId, change: IngestChange): Promise<IngestProgress> {
    const { handle } = await this.steered(operation, change);
    if (typeof change !== 'string') requireConcurrency(change.concurrency);
    if (!(await isOpen(await this.connections.temporal(), handle.workflowId))) throw hasEnded(operation);
    return handle.query<IngestProgress>('progress');
  }

  /** The run that is to be steered, for who may. */
  private async steered(
    operation: OperationId,
    change: IngestChange,
  ): Promise<{ tenant: TenantId | null; handle: WorkflowHandle }> {
    const verb = typeof change === 'string' ? (`op ${change}` as const) : 'op concurrency';
    const row = await ownOperation(this.connections, verb, operation);
    if (row.kind !== 'ingestVideos')
      throw new OpsError('WrongState', `a ${row.kind} is not paused or paced`, 'only ingests are');
    if (row.state !== 'running') throw hasEnded(operation, row.state);
    const handle = (await this.connections.temporal()).workflow.getHandle(row.workflowId);
    return { tenant: row.tenant, handle };
  }

  async failures(operation: OperationId, limit: number): Promise<{ video: string; reason: string }[]> {
    await ownOperation(this.connections, 'op show', operation);
    return failedItems(this.connections.pool, operation, limit);
  }

  private async authorizeSource({ tenant, source }: Pick<IngestRequest, 'tenant' | 'source'>): Promise<void> {
    await this.connections.authorizePlace('ingest', tenant, parseSource(source));
  }

  private run(
    request: IngestRequest,
    from?: IngestVideosInput['from'],
  ): Promise<OperationHandle<IngestVideosResult>> {
    const operation = parseOperationId(randomUUID());
    const { tenant, reason, profile } = request;
    const input: IngestVideosInput = checkInput(ingestVideosInput, {
      ...request,
      operation,
      ...(from === undefined ? {} : { from }),
      principal: this.connections.principal,
    });
    return this.connections.start(
      {
        kind: 'ingestVideos',
        workflowId: workflowIds.ingest(tenant, operation),
        tenant,
        operation,
        reason,
        summary: `ingest into ${tenant}: ${profile}`,
        priority: INGEST_PRIORITY,
      },
      input,
    );
  }

  /** The run that was named, or the last one of this life with something left. */
  private async former(row: TenantRow, request: IngestAgainRequest): Promise<OperationRow> {
    const { pool } = this.connections;
    const { tenant, items } = request;
    const mine = (o: OperationRow) => o.kind === 'ingestVideos' && o.incarnation === row.incarnation;
    if (request.operation !== undefined) {
      const named = await ownOperation(this.connections, 'ingest', request.operation);
      if (!mine(named))
        throw new OpsError('NotFound', `operation ${named.operation} is no ingest of tenant ${tenant}`);
      if (named.state === 'running')
        throw new OpsError(
          'WrongState',
          `operation ${named.operation} still runs`,
          'wait for it, or cancel it',
        );
      if ((await countItems(pool, named.operation))[items] === 0)
        throw new OpsError('WrongState', `operation ${named.operation} has no ${items} videos`);
      return named;
    }
    for (const former of await listOperations(pool, { tenant, limit: LOOK_BACK })) {
      if (!mine(former) || former.state === 'running') continue;
      if ((await countItems(pool, former.operation))[items] > 0) return former;
    }
    throw new OpsError('NotFound', `no ingest of tenant ${tenant} has ${items} videos`);
  }
}

/** @throws OpsError `InvalidInput`, as the operation would */
function requireConcurrency(videos: number): void {
  const problem = concurrencyProblem(videos);
  if (problem !== undefined) throw new OpsError('InvalidInput', problem);
}
