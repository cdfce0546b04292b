import type { StockAmounts } from '../domain/quotas.js';
import { whileRenewed } from '../limits/whileRenewed.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { RESERVATION_SECONDS, grow, renew, reserve, settle, withinQuota } from './reservations.js';

/** The reservation of this video expired: another one may have what it stood for. */
export class RoomLost extends Error {
  override readonly name = 'RoomLost';
}

type Size = Readonly<{ documents: number; bytes: number }>;

/**
 * Room in a tenant's quotas for one video while its documents are made: reserved before the first one is written, and
 * grown before any that was not expected. What is stored counts by the registry's row of the video (`count_videos`);
 * without a limit there is nothing else to do.
 */
export class VideoRoom {
  private held: Size | undefined;

  private constructor(
    private readonly pool: Pool,
    private readonly key: { readonly life: TenantLife; readonly key: string },
    private readonly limited: boolean,
  ) {}

  /** @param video which one, among all of the tenant's */
  static async of(pool: Pool, life: TenantLife, video: string): Promise<VideoRoom> {
    const { rows } = await pool.query<{ limited: boolean }>(
      `select exists (select 1 from quotas
         where incarnation = $1 and resource in ('videos', 'documents', 'storage_mb')) as limited`,
      [life.incarnation],
    );
    return new VideoRoom(pool, { life, key: `video/${video}` }, rows[0]!.limited);
  }

  /**
   * Keeps the reservation while `work` runs, and gives up at its end what was not settled.
   *
   * @throws RoomLost; what `work` throws
   */
  async during<T>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    if (!this.limited) return work(signal);
    const renewing = {
      everyMs: (RESERVATION_SECONDS * 1000) / 4,
      renew: async () => this.held === undefined || (await renew(this.pool, this.key)),
      lost: () => new RoomLost('the room that was reserved for this video is gone'),
      release: () => (this.held === undefined ? Promise.resolve() : this.end(this.pool)),
    };
    return whileRenewed(renewing, signal, work);
  }

  /**
   * Notes that documents may be there from now on, when there is room for them.
   *
   * @param note what it replaces is no longer counted by then
   * @throws OpsError `QuotaExceeded`; then nothing is noted
   */
  async begin(size: Size, note: (tx: Queryable) => Promise<void>): Promise<void> {
    if (!this.limited) return note(this.pool);
    this.held = await withinQuota(this.pool, async (tx) => {
      await note(tx);
      const held = await reserve(tx, this.key, { videos: 1, ...amounts(size) });
      return { documents: held.documents ?? 0, bytes: held.storage_mb ?? 0 };
    });
  }

  /** That there is room for so much. @throws OpsError `QuotaExceeded` */
  async upTo({ documents, bytes }: Size): Promise<void> {
    const { held } = this;
    if (held === undefined || (documents <= held.documents && bytes <= held.bytes)) return;
    const more = {
      documents: Math.max(0, documents - held.documents),
      bytes: Math.max(0, bytes - held.bytes),
    };
    await withinQuota(this.pool, (tx) => grow(tx, this.key, amounts(more)));
    this.held = { documents: held.documents + more.documents, bytes: held.bytes + more.bytes };
  }

  /**
   * Ends the reservation together with the note that the video is stored, which counts it.
   *
   * @throws RoomLost
   */
  async settle(note: (tx: Queryable) => Promise<void>): Promise<void> {
    if (this.held === undefined) return note(this.pool);
    await transaction(this.pool, async (tx) => {
      if (!(await settle(tx, this.key))) throw new RoomLost('the room that was reserved is gone');
      await note(tx);
    });
    this.held = undefined;
  }

  private async end(pool: Pool): Promise<void> {
    await transaction(pool, (tx) => settle(tx, this.key));
  }
}

function amounts({ documents, bytes }: Size): StockAmounts {
  return { documents, storage_mb: bytes };
}
