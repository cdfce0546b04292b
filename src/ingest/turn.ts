import type { ItemEnd, TurnResult } from '../contracts/ingest.js';
import { OpsError } from '../domain/errors.js';
import type { OperationId, TenantId } from '../domain/ids.js';
import type { ProfileName } from '../domain/profiles.js';
import { TenantBusy, type VideoSlots } from '../limits/holdSlot.js';
import { TriesSpent, counted } from '../limits/tries.js';
import { type LedgerItem, finishItem, getItems } from '../registry/ledger.js';
import { getTenantOperation } from '../registry/operations.js';
import { deployedSchema } from '../registry/schemas.js';
import { requireTenant } from '../registry/tenants.js';
import { mayGoOn } from '../registry/turns.js';
import { noteRefused, storedAs } from '../registry/videos.js';
import type { Reach } from '../sources/reach.js';
import type { Sources } from '../sources/sources.js';
import type { Tracing } from '../telemetry/telemetry.js';
import { DocumentError, FeedBlocked, RetriesExhausted } from '../vespa/retry.js';
import { type IngestResources, type VideoToIngest, ingestVideo, isOverQuota } from './ingestVideo.js';
import { Ahead, FFMPEG, prepareVideo } from './prepare.js';

/** No video is begun after this long in a turn: long ones have a turn to themselves, and progress is seen. */
const TURN_MS = 8000;

export interface TurnResources extends IngestResources {
  readonly sources: Sources;
  /** Of the principal of the run that asks. */
  readonly reach: () => Promise<Reach>;
  readonly slots: VideoSlots;
  readonly tracing: Tracing;
  /** Hears of each video that failed, with its reason. */
  readonly onFailed?: (item: LedgerItem) => void;
}

/** Whose videos, of which run. */
export interface TurnOf {
  readonly tenant: TenantId;
  readonly operation: OperationId;
  readonly profile: ProfileName;
  readonly source: string;
}

type Life = Omit<VideoToIngest, 'path' | 'video'>;

/**
 * Ingests videos one after the other in one of the tenant's slots, and ends each in the ledger. The next one is fetched and
 * looked into meanwhile. A turn ends early after
 * some seconds, when another ingest runs or this one is paused, and when Vespa takes no writes.
 *
 * @throws TenantBusy, NoRoom; OpsError `WrongState` when the life of the tenant is over, `PermissionDenied`; what
 *   outside systems throw. The videos that ended before are done all the same
 */
export async function takeTurn(
  resources: TurnResources,
  of: TurnOf,
  items: readonly number[],
  signal: AbortSignal,
): Promise<TurnResult> {
  const { pool, slots } = resources;
  const { operation } = of;
  const rows = await getItems(pool, operation, items);
  const done = rows.flatMap(endOf);
  const open = rows.filter(({ state }) => state === 'pending');
  if (open.length === 0) return { done, left: [] };
  const begun = await getTenantOperation(pool, operation);
  // By the first one of the turn, ended or not: a try after a kill takes the slot of the killed one over.
  const slot = { incarnation: begun.incarnation, operation, item: items[0]! };
  return slots.hold(slot, signal, async (held) => {
    // With the slot in hand: who raises a fence waits for those that have one, and the others see it here.
    const life = await lifeOf(resources, of, begun);
    const until = performance.now() + TURN_MS;
    const left = (from: number) => open.slice(from).map(({ item }) => item);
    const { tools = FFMPEG } = resources;
    const ahead = ({ path }: LedgerItem) =>
      new Ahead((signal) => prepareVideo(tools, { ...life, path }, signal), held);
    await using waiting = new AsyncDisposableStack();
    let mine: Ahead | undefined;
    for (const [i, row] of open.entries()) {
      if (i > 0 && performance.now() > until) return { done, left: left(i) };
      const goesOn = open.length > 1 && (await mayGoOn(pool, operation));
      if (i > 0 && !goesOn) return { done, left: left(i) };
      // Beside another ingest a turn is one video long: the next one is not its own.
      const [prepared, next] = [mine, goesOn ? open[i + 1] : undefined];
      mine = next && waiting.use(ahead(next));
      const end = await ingestItem(resources, life, operation, row, held, prepared);
      if ('how' in end) return { done, left: left(i + 1), refused: { item: row.item, ...end } };
      const ended = await finishItem(pool, operation, row.item, end);
      if (ended.state === 'failed') resources.onFailed?.(ended);
      done.push(...endOf(ended));
    }
    return { done, left: [] };
  });
}

/** The life that the operation began in, as it is now; deactivated meanwhile, and let end, is fine. */
async function lifeOf(
  { pool, sources, reach }: TurnResources,
  { tenant, profile, source }: TurnOf,
  { incarnation, startedAt }: Awaited<ReturnType<typeof getTenantOperation>>,
): Promise<Life> {
  const now = await requireTenant(pool, tenant, 'continueIngest');
  if (now.incarnation !== incarnation)
    throw new OpsError('WrongState', `tenant ${tenant} was re-created since this ingest began`);
  if (now.fence !== null)
    throw new TenantBusy(`tenant ${tenant} is closed to changes by operation ${now.fence}`);
  const { schemaName: schema } = await deployedSchema(pool, { tenant, incarnation }, profile);
  const reader = await sources.reader(source, await reach());
  return { tenant, incarnation, profile, schema, source: reader, timestamp: Date.parse(startedAt) };
}

type Refusal = Omit<NonNullable<TurnResult['refused']>, 'item'>;

/** How one video ends, or that Vespa takes none at the moment. */
async function ingestItem(
  resources: TurnResources,
  life: Life,
  operation: OperationId,
  { item, path, video, fingerprint }: LedgerItem,
  signal: AbortSignal,
  prepared: Ahead | undefined,
): Promise<Parameters<typeof finishItem>[3] | Refusal> {
  const { pool, encoder, tracing } = resources;
  const about = { 'input.value': path, video, profile: life.profile, operation };
  try {
    return await tracing.traced(life, 'CHAIN', 'ingest.video', about, async (span) => {
      const end = await counted(pool, { operation, item, signal }, () =>
        ingestVideo(resources, { ...life, path, video }, signal, prepared?.take()),
      );
      span.setAttributes({ 'output.value': end.state, documents: end.documents });
      return end;
    });
  } catch (error) {
    // Not retried here, where a worker's slot would be held for it: the run waits as a whole.
    if (error instanceof FeedBlocked) return { how: 'blocked', why: error.message };
    if (error instanceof RetriesExhausted && error.reach === 'server')
      return { how: 'silent', why: error.message };
    const mayPass = error instanceof RetriesExhausted || error instanceof TriesSpent || isOverQuota(error);
    const forGood =
      error instanceof DocumentError || (error instanceof OpsError && error.type === 'Rejected');
    if (!mayPass && !forGood) throw error;
    // The video's own end, not the run's. What failed over a server or a worker may be taken one day; a file stays what
    // it is until it changes.
    if (fingerprint !== null && forGood)
      await noteRefused(pool, storedAs(life.incarnation, life.profile, encoder.id), {
        path,
        video,
        fingerprint,
      });
    return { state: 'failed', reason: error.message };
  }
}

function endOf({ item, state, documents }: LedgerItem): ItemEnd[] {
  return state === 'pending' ? [] : [{ item, state, documents }];
}
