import { randomUUID } from 'node:crypto';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { WRITER_SECONDS, endWriter, noteWriter, renewWriter } from '../registry/memoryWriters.js';
import type { TenantRow } from '../registry/tenants.js';
import { whileRenewed } from './whileRenewed.js';

/** Others may have gone on without this change: a fence, a restore or a purge that no longer waited for it. */
export class WriterLost extends Error {
  override readonly name = 'WriterLost';
}

/**
 * Runs a change of a tenant's memories. Whoever closes the tenant meanwhile waits for its end.
 *
 * @param admit locks the tenant's row, and throws when it is not open for the change
 * @param work its signal also aborts when nobody waits for it any more
 * @throws WriterLost; the signal's reason; what `admit` and `work` throw
 */
export async function whileWriting<T>(
  pool: Pool,
  admit: (tx: Queryable) => Promise<TenantRow>,
  work: (life: TenantRow, signal: AbortSignal) => Promise<T>,
  {
    signal,
    renewEveryMs = (WRITER_SECONDS * 1000) / 4,
  }: { readonly signal?: AbortSignal; readonly renewEveryMs?: number } = {},
): Promise<T> {
  const holder = randomUUID();
  const life = await transaction(pool, async (tx) => {
    const row = await admit(tx);
    await noteWriter(tx, row.incarnation, holder);
    return row;
  });
  const renewing = {
    everyMs: renewEveryMs,
    renew: () => renewWriter(pool, holder),
    lost: () => new WriterLost(`a change of the memories of ${life.tenant} took too long`),
    release: () => endWriter(pool, life.incarnation, holder),
    // The work came through, but nobody can say that no fence stood by then.
    heldToTheEnd: true,
  };
  return whileRenewed(renewing, signal, (both) => work(life, both));
}
