import { signCertificate } from '../certificates/certificate.js';
import type { KeyObject } from 'node:crypto';
import type { ErasureCertificate } from '../contracts/certificate.js';
import type { HardDeleteInput } from '../contracts/life.js';
import { OpsError } from '../domain/errors.js';
import { type StoreCount, differences } from '../domain/purge.js';
import { auditHead } from '../registry/audit.js';
import type { Queryable } from '../registry/database.js';
import { getTenantOperation } from '../registry/operations.js';
import { type PurgeStoreRow, keepCertificate, purgeStoresOf } from '../registry/purgeStores.js';

/** Issues the proof of a finished purge. */
export class CertificateSigner {
  /** @param loadKey reads the key at each use, so that a rotated one is taken without a restart */
  constructor(private readonly loadKey: () => Promise<KeyObject>) {}

  /** @throws OpsError when there is no usable key */
  async check(): Promise<void> {
    await this.loadKey();
  }

  /**
   * Writes, signs and keeps the certificate of a life; again gives the same one.
   *
   * @param tx with the end of the life in it: both are there, or neither
   * @throws OpsError `VerificationFailed` naming each store that was not read back twice as empty
   */
  async issue(tx: Queryable, input: HardDeleteInput): Promise<string> {
    const stores = await purgeStoresOf(tx, input.incarnation);
    const unproven = stores.filter(
      (s) => s.deletedAt === null || s.after !== 0 || s.afterDelay !== 0 || s.secondReadBackAt === null,
    );
    if (stores.length === 0 || unproven.length > 0) {
      const names = unproven.map((s) => `${s.store} ${s.name}`).join(', ');
      throw new OpsError(
        'VerificationFailed',
        `no certificate: not proven empty: ${names || 'nothing was counted'}`,
        `run it again: cvops tenant delete ${input.tenant} --hard`,
      );
    }
    const key = await this.loadKey();
    const { startedAt } = await getTenantOperation(tx, input.operation);
    const head = await auditHead(tx);
    const body: ErasureCertificate = {
      format: 'cogniverse-ops/erasure-certificate',
      version: 1,
      tenant: input.tenant,
      incarnation: input.incarnation,
      operation: input.operation,
      trigger: input.trigger,
      requestedBy: input.principal,
      reason: input.reason,
      startedAt: utc(startedAt),
      issuedAt: new Date().toISOString(),
      stores: stores.map((s) => ({
        store: s.store,
        name: s.name,
        method: s.method,
        before: s.before,
        after: 0,
        afterDelay: 0,
        deletedAt: utc(s.deletedAt!),
        readBackAt: utc(s.readBackAt!),
        secondReadBackAt: utc(s.secondReadBackAt!),
      })),
      residuals: [],
      retained: RETAINED.map((kept) => ({ ...kept, until: null })),
      // Backups come with issue 6's operations; until then there are none that could hold the tenant's data.
      backups: [],
      rehearsal: compare(input, stores),
      audit: { seq: head.seq, head: head.hash },
    };
    return keepCertificate(tx, {
      incarnation: input.incarnation,
      operation: input.operation,
      document: signCertificate(body, key),
    });
  }
}

/** What stays of a tenant, and why: nothing of it is the tenant's content. */
const RETAINED = [
  { what: 'audit log rows', why: 'append-only record of who did what and when: ids, verbs, counts' },
  { what: 'operation rows', why: 'ids, times, counts, who asked and why; quoted errors were erased' },
  {
    what: 'the row of the tenant',
    why: 'keeps the name from being given away at once, and this proof findable',
  },
  {
    what: 'Temporal workflow histories',
    why: 'ids, counts and folder paths; they go with the retention of the Temporal namespace',
  },
] as const;

function compare(
  { rehearsal }: HardDeleteInput,
  stores: readonly PurgeStoreRow[],
): ErasureCertificate['rehearsal'] {
  if (rehearsal === null) return null;
  const before = stores.map(({ store, name, before: count }): StoreCount => ({ store, name, count }));
  return { ...rehearsal, matches: differences(rehearsal.stores, before).length === 0 };
}

/** Postgres writes its own zone; the certificate is in UTC, to the millisecond. */
function utc(time: string): string {
  return new Date(time).toISOString();
}
