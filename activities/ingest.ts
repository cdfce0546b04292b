import { createHash } from 'node:crypto';
import { heartbeat, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { checkInput } from '../src/contracts/common.js';
import { type IngestVideosResult, ingestVideosInput } from '../src/contracts/ingest.js';
import { videoId } from '../src/domain/documents.js';
import { FEED_REFUSALS, OpsError } from '../src/domain/errors.js';
import type { OperationId } from '../src/domain/ids.js';
import { parseSource } from '../src/domain/sources.js';
import { workflowIds } from '../src/domain/naming.js';
import { type ProfileName, parseProfile } from '../src/domain/profiles.js';
import { compareCount } from '../src/ingest/compareCount.js';
import { discardUnfinished } from '../src/ingest/discard.js';
import { type IngestResources, ingestVideo } from '../src/ingest/ingestVideo.js';
import { TenantBusy, VideoSlots } from '../src/limits/holdSlot.js';
import { counted } from '../src/limits/tries.js';
import { type Pool, type Queryable, transaction } from '../src/registry/database.js';
import { addItems, copyItems, countItems, finishItem, getItem } from '../src/registry/ledger.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { getTenantOperation } from '../src/registry/operations.js';
import { type SchemaRow, schemasOf } from '../src/registry/schemas.js';
import { lockTenant, requireTenant } from '../src/registry/tenants.js';
import type { DocumentClient } from '../src/vespa/documents.js';
import { DocumentError, FeedBlocked, RetriesExhausted } from '../src/vespa/retry.js';
import { discoverVideos } from '../src/video/discover.js';
import type { ConfigServer } from '../src/vespa/configServer.js';
import { heartbeating } from './heartbeat.js';
import type { IngestActivities } from './types.js';

/** The part that is short and needs only the registry. */
type LedgerActivities = Pick<IngestActivities, 'beginIngest' | 'failItem' | 'finishIngest' | 'failIngest'>;
/** The part that reads files and feeds. */
type VideoActivities = Pick<IngestActivities, 'listVideos' | 'ingestVideo'>;

/** Rows per statement while a folder is listed. */
const LIST_PAGE = 1000;

export function createLedgerActivities(
  resources: Pick<IngestResources, 'pool' | 'documents'>,
): LedgerActivities {
  const { pool } = resources;
  return {
    async beginIngest(raw) {
      const input = checkInput(ingestVideosInput, raw);
      const { tenant, operation, principal, reason, profile, source, from } = input;
      await transaction(pool, async (tx) => {
        const { incarnation } = await lockTenant(tx, tenant, 'ingest');
        await ownedSchema(tx, incarnation, tenant, profile);
        if (from !== undefined) await requireSameLife(tx, from.operation, incarnation);
        const workflowId = workflowIds.ingest(tenant, operation);
        await beginOperation(
          tx,
          {
            operation,
            kind: 'ingestVideos',
            tenant,
            incarnation,
            principal,
            reason,
            workflowId,
            input: { source, profile },
          },
          'ingest',
          { profile, ...(from === undefined ? {} : { from: from.operation, items: from.items }) },
        );
      });
    },

    async failItem({ operation, item, reason }) {
      const { incarnation, input } = await getTenantOperation(pool, operation);
      const { video } = await getItem(pool, operation, item);
      const owned = await schemasOf(pool, incarnation);
      // Without a schema there is nothing left to take away: the tenant is being purged.
      const schema = owned.find((s) => s.baseSchema === input['profile'] && s.state === 'deployed');
      if (schema) {
        const profile = parseProfile(schema.baseSchema);
        await discardUnfinished(resources, { incarnation, profile, schema: schema.schemaName, video });
      }
      await finishItem(pool, operation, item, { state: 'failed', reason });
    },

    async finishIngest({ operation, how }): Promise<IngestVideosResult> {
      const { stored, unchanged, failed, pending, documents } = await countItems(pool, operation);
      if (how === 'finished' && pending > 0)
        throw new Error(`${pending} item(s) of ${operation} have no outcome`);
      const state = how === 'cancelled' ? 'cancelled' : failed > 0 ? 'completed_with_failures' : 'completed';
      await closeOperation(pool, operation, 'ingest', {
        state,
        counts: { stored, unchanged, failed, pending, documents },
      });
      return { operation, videos: { stored, unchanged, failed }, documents };
    },

    async failIngest({ operation, failure }) {
      await closeOperation(pool, operation, 'ingest', { state: 'failed', error: failure });
    },
  };
}

/** Asks Vespa what it holds; on the control workers, as the config server is theirs. */
export function createCountActivities({
  pool,
  documents,
  configServer,
}: {
  readonly pool: Pool;
  readonly documents: DocumentClient;
  readonly configServer: ConfigServer;
}): Pick<IngestActivities, 'countStored'> {
  return {
    async countStored({ tenant, operation, profile }) {
      const { incarnation } = await getTenantOperation(pool, operation);
      const { schemaName } = await ownedSchema(pool, incarnation, tenant, profile);
      return heartbeating((signal) =>
        compareCount({ pool, documents, configServer }, { incarnation, profile, schema: schemaName }, signal),
      );
    },
  };
}

export function createVideoActivities(resources: IngestResources): VideoActivities {
  const { pool } = resources;
  const slots = new VideoSlots(pool);
  return {
    async listVideos({ operation, source, from }) {
      return heartbeating(async (signal) => {
        if (from !== undefined) await copyItems(pool, operation, from.operation, from.items);
        const paths = from === undefined ? await discoverVideos(folderOf(source), signal) : [];
        for (let from = 0; from < paths.length; from += LIST_PAGE) {
          const page = paths
            .slice(from, from + LIST_PAGE)
            .map((path, i) => ({ item: from + i + 1, path, video: videoId(path, sha256(path)) }));
          await addItems(pool, operation, page);
          heartbeat({ listed: from + page.length });
        }
        // Counted, not assumed: a listing that ran before a kill may have seen other files.
        const { pending, stored, unchanged, failed } = await countItems(pool, operation);
        return { items: pending + stored + unchanged + failed };
      });
    },

    async ingestVideo({ tenant, operation, profile, source, item }) {
      const row = await getItem(pool, operation, item);
      if (row.state !== 'pending') return { state: row.state, documents: row.documents };
      // The life that the operation began in: a tenant that was re-created meanwhile is another one.
      const { incarnation, startedAt } = await getTenantOperation(pool, operation);
      // Deactivated meanwhile, and let end: the operation began while the tenant was open.
      const tenantRow = await requireTenant(pool, tenant, 'continueIngest');
      if (tenantRow.incarnation !== incarnation)
        throw new OpsError('WrongState', `tenant ${tenant} was re-created since this ingest began`);
      const { schemaName } = await ownedSchema(pool, incarnation, tenant, profile);

      const video = {
        tenant,
        incarnation,
        profile,
        schema: schemaName,
        folder: folderOf(source),
        path: row.path,
        video: row.video,
        timestamp: Date.parse(startedAt),
      };
      const end = await heartbeating((signal) =>
        slots.hold({ incarnation, operation, item }, signal, (held) =>
          counted(pool, { operation, item, signal: held }, () => ingestVideo(resources, video, held)),
        ),
      ).catch((error: unknown) => {
        if (error instanceof TenantBusy) throw busy(error);
        // Not retried here, where a worker's slot would be held for it: the run waits as a whole.
        if (error instanceof FeedBlocked) throw refusal('blocked', error);
        const exhausted = error instanceof RetriesExhausted;
        if (exhausted && error.reach === 'server') throw refusal('silent', error);
        // The file's own fault, or a document that Vespa refuses for good: the item's end, not the run's.
        if (
          exhausted ||
          error instanceof DocumentError ||
          (error instanceof OpsError && error.type === 'Rejected')
        ) {
          log.info('video failed', { item, path: row.path, reason: error.message });
          return { state: 'failed', reason: error.message } as const;
        }
        throw error;
      });
      const { state, documents } = await finishItem(pool, operation, item, end);
      return { state: state === 'pending' ? 'failed' : state, documents };
    },
  };
}

/** No error: again in a while, by Temporal's timer, and the worker is free meanwhile. */
function busy({ message }: TenantBusy): ApplicationFailure {
  const nextRetryDelay = 1000 + Math.random() * 1000;
  return ApplicationFailure.create({ type: 'TenantBusy', message, nextRetryDelay, category: 'BENIGN' });
}

function refusal(how: keyof typeof FEED_REFUSALS, { message }: Error): ApplicationFailure {
  return ApplicationFailure.create({
    type: FEED_REFUSALS[how],
    message,
    nonRetryable: true,
    category: 'BENIGN',
  });
}

/** The ledger of another tenant, or of a former life, names files that are none of this one's business. */
async function requireSameLife(
  db: Queryable,
  operation: OperationId,
  incarnation: SchemaRow['incarnation'],
): Promise<void> {
  const row = await getTenantOperation(db, operation);
  if (row.kind === 'ingestVideos' && row.incarnation === incarnation) return;
  throw new OpsError(
    'NotFound',
    `operation ${operation} is no ingest of this tenant`,
    'see them with: cvops op list',
  );
}

async function ownedSchema(
  db: Queryable,
  incarnation: SchemaRow['incarnation'],
  tenant: string,
  profile: ProfileName,
): Promise<SchemaRow> {
  const owned = await schemasOf(db, incarnation);
  const found = owned.find(({ baseSchema, state }) => baseSchema === profile && state === 'deployed');
  if (found) return found;
  throw new OpsError(
    'NotFound',
    `tenant ${tenant} does not have the profile ${profile}`,
    `it has: ${owned.map((s) => s.baseSchema).join(', ')}`,
  );
}

function folderOf(text: string): string {
  const source = parseSource(text);
  if (source.kind === 'folder') return source.path;
  throw new OpsError('InvalidInput', `not read yet: ${text}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
