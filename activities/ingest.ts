import { heartbeat, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { checkInput } from '../src/contracts/common.js';
import {
  type IngestVideosInput,
  type IngestVideosResult,
  ingestVideosInput,
} from '../src/contracts/ingest.js';
import { FEED_REFUSALS, OpsError } from '../src/domain/errors.js';
import { type Incarnation, type OperationId, quoteForMessage } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { type ProfileName, parseProfile } from '../src/domain/profiles.js';
import { compareCount } from '../src/ingest/compareCount.js';
import { discardUnfinished } from '../src/ingest/discard.js';
import type { IngestResources } from '../src/ingest/ingestVideo.js';
import { countItemsOf, listItems } from '../src/ingest/listing.js';
import { type TurnResources, takeTurn } from '../src/ingest/turn.js';
import { TenantBusy, VideoSlots } from '../src/limits/holdSlot.js';
import type { Pool, Queryable } from '../src/registry/database.js';
import {
  type LedgerItem,
  addItems,
  copyItems,
  countItems,
  finishItem,
  getItem,
} from '../src/registry/ledger.js';
import { closeIngest, takeIngest } from '../src/quotas/ingests.js';
import { withinQuota } from '../src/quotas/reservations.js';
import { beginOperation } from '../src/registry/operationLog.js';
import { getTenantOperation } from '../src/registry/operations.js';
import { type SchemaRow, deployed, deployedSchema, schemasOf } from '../src/registry/schemas.js';
import { lockTenant, requireTenant } from '../src/registry/tenants.js';
import { setPaused } from '../src/registry/turns.js';
import { storedAs } from '../src/registry/videos.js';
import { NoRoom } from '../src/sources/noRoom.js';
import type { ConfigServer } from '../src/vespa/configServer.js';
import type { DocumentClient } from '../src/vespa/documents.js';
import { heartbeating } from './heartbeat.js';
import type { IngestActivities } from './types.js';

/** The part that is short and needs only the registry. */
type LedgerActivities = Pick<
  IngestActivities,
  'beginIngest' | 'notePaused' | 'failItem' | 'finishIngest' | 'failIngest'
>;
/** The part that reads files and feeds. */
type VideoActivities = Pick<IngestActivities, 'listVideos' | 'findChanges' | 'ingestVideo' | 'ingestTurn'>;
/** Another video of the worker has ended and gone by then, as a rule. */
const ROOM_RETRY = '1 minute';

export function createLedgerActivities(
  resources: Pick<IngestResources, 'pool' | 'documents'>,
): LedgerActivities {
  const { pool } = resources;
  return {
    async beginIngest(raw) {
      const input = checkInput(ingestVideosInput, raw);
      const { tenant, operation, principal, reason, profile, source, from } = input;
      await withinQuota(pool, async (tx) => {
        const { incarnation } = await lockTenant(tx, tenant, 'ingest');
        requireLife(input, incarnation);
        await deployedSchema(tx, { tenant, incarnation }, profile);
        if (from !== undefined) await requireSameLife(tx, from.operation, incarnation);
        const workflowId = workflowIds.ingest(tenant, operation);
        const begun = await beginOperation(
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
        // A second attempt of this step may come when the operation has ended.
        if (begun) await takeIngest(tx, { tenant, incarnation }, operation);
      });
    },

    async notePaused({ operation, paused }) {
      await setPaused(pool, operation, paused);
    },

    async failItem({ operation, item, reason }) {
      const { incarnation, input } = await getTenantOperation(pool, operation);
      const { video } = await getItem(pool, operation, item);
      // Without a schema there is nothing left to take away: the tenant is being purged.
      const schema = deployed(await schemasOf(pool, incarnation), input['profile']);
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
      const counts = { stored, unchanged, failed, pending, documents };
      await closeIngest(pool, operation, { state, counts });
      return { operation, videos: { stored, unchanged, failed }, documents };
    },

    async failIngest({ operation, failure }) {
      await closeIngest(pool, operation, { state: 'failed', error: failure });
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
      const { schemaName } = await deployedSchema(pool, { tenant, incarnation }, profile);
      return heartbeating((signal) =>
        compareCount({ pool, documents, configServer }, { incarnation, profile, schema: schemaName }, signal),
      );
    },
  };
}

export function createVideoActivities(resources: Omit<TurnResources, 'slots' | 'onFailed'>): VideoActivities {
  const { pool, sources, reach, encoder } = resources;
  const as = (incarnation: Incarnation, profile: ProfileName) => storedAs(incarnation, profile, encoder.id);
  const turns = {
    ...resources,
    slots: new VideoSlots(pool),
    onFailed: ({ item, path, reason }: LedgerItem) => {
      log.info('video failed', { item, path, reason });
    },
  };
  const turn: IngestActivities['ingestTurn'] = ({ items, ...of }) =>
    heartbeating((signal) => takeTurn(turns, of, items, signal)).catch((error: unknown) => {
      if (error instanceof TenantBusy) throw busy(error);
      if (error instanceof NoRoom)
        throw ApplicationFailure.create({
          message: error.message,
          nextRetryDelay: ROOM_RETRY,
          category: 'BENIGN',
        });
      throw error;
    });
  return {
    async listVideos({ operation, source, profile, from, onlyChanged = false, unattended }) {
      return heartbeating(async (signal) => {
        // Also of what is taken up: by whoever asks now, not by whoever began it.
        const reader = await sources.reader(source, await reach());
        if (from !== undefined) await copyItems(pool, operation, from.operation, from.items);
        else {
          const { incarnation } = await getTenantOperation(pool, operation);
          const except = onlyChanged ? { as: as(incarnation, profile), unattended } : undefined;
          let listed = 0;
          for await (const page of listItems(pool, reader, except, signal)) {
            await addItems(pool, operation, page);
            heartbeat({ listed: (listed += page.length) });
          }
        }
        // Counted, not assumed: a listing that ran before a kill may have seen other files.
        const { pending, stored, unchanged, failed } = await countItems(pool, operation);
        const items = pending + stored + unchanged + failed;
        if (items === 0 && from === undefined && !onlyChanged)
          throw new OpsError(
            'InvalidInput',
            `no videos in ${quoteForMessage(source)}`,
            'give a source with *.mp4 files: a folder, a list of files, or s3://bucket/prefix',
          );
        return { items };
      });
    },

    async findChanges(input) {
      const { tenant, source, profile, unattended } = input;
      return heartbeating(async (signal) => {
        const { incarnation } = await requireTenant(pool, tenant, 'ingest');
        requireLife(input, incarnation);
        await deployedSchema(pool, { tenant, incarnation }, profile);
        const reader = await sources.reader(source, await reach());
        const pages = listItems(pool, reader, { as: as(incarnation, profile), unattended }, signal);
        return { changed: await countItemsOf(pages) };
      });
    },

    ingestTurn: turn,

    async ingestVideo({ item, ...of }) {
      const { done, refused } = await turn({ ...of, items: [item] });
      if (refused) throw refusal(refused.how, refused.why);
      return done[0]!;
    },
  };
}

/** No error: again in a while, by Temporal's timer, and the worker is free meanwhile. */
function busy({ message }: TenantBusy): ApplicationFailure {
  const nextRetryDelay = 1000 + Math.random() * 1000;
  return ApplicationFailure.create({ type: 'TenantBusy', message, nextRetryDelay, category: 'BENIGN' });
}

function refusal(how: keyof typeof FEED_REFUSALS, message: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: FEED_REFUSALS[how],
    message,
    nonRetryable: true,
    category: 'BENIGN',
  });
}

/** What was begun for one life of a tenant does nothing for the next one. */
function requireLife(
  { tenant, ...asked }: Pick<IngestVideosInput, 'tenant' | 'incarnation'>,
  now: Incarnation,
) {
  if (asked.incarnation !== undefined && asked.incarnation !== now)
    throw new OpsError('WrongState', `tenant ${tenant} was re-created: this is for a former life of it`);
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
