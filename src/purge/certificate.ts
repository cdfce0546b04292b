import { signCertificate } from '../certificates/certificate.js';
import type { KeyObject } from 'node:crypto';
import { type CertificateBody, rehearsalMatches } from '../contracts/certificate.js';
import type { HardDeleteInput } from '../contracts/life.js';
import { OpsError } from '../domain/errors.js';
import { auditHead } from '../registry/audit.js';
import { backupsOfLife } from '../registry/backups.js';
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
      (s) => (s.deletedAt === null && s.before > 0) || s.after !== 0 || s.afterDelay !== 0,
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
    const { rehearsal } = input;
    const head = await auditHead(tx);
    const body: CertificateBody = {
      format: 'cogniverse-ops/erasure-certificate',
      version: 1,
      tenant: input.tenant,
      incarnation: input.incarnation,
      operation: input.operation,
      trigger: input.trigger,
      requestedBy: input.principal,
      reason: input.reason,
      startedAt: utc(await startOf(tx, input, stores)),
      issuedAt: utc(await databaseTime(tx)),
      stores: stores.map((s) => ({
        store: s.store,
        name: s.name,
        method: s.method,
        before: s.before,
        after: 0,
        afterDelay: 0,
        deletedAt: utc(s.deletedAt ?? s.readBackAt!),
        readBackAt: utc(s.readBackAt!),
        secondReadBackAt: utc(s.secondReadBackAt!),
      })),
      residuals: [],
      retained: RETAINED.map((kept) => ({ ...kept, until: null })),
      backups: await backupsOf(tx, input),
      rehearsal: rehearsal && { ...rehearsal, matches: rehearsalMatches(stores, rehearsal.stores) },
      audit: { seq: head.seq, head: head.hash },
    };
    return keepCertificate(tx, {
      incarnation: input.incarnation,
      operation: input.operation,
      document: signCertificate(body, key),
    });
  }
}

/** The copies that were made of the life: a purge does not take them away, their keep policy does. */
async function backupsOf(
  tx: Queryable,
  { incarnation }: HardDeleteInput,
): Promise<CertificateBody['backups']> {
  return (await backupsOfLife(tx, incarnation)).map(({ backup, state, hold }) => ({
    backup,
    fate: state === 'removed' ? 'deleted' : 'retained',
    why: hold ?? (state === 'removed' ? 'removed by the keep policy' : 'kept by the keep policy of backups'),
    until: null,
  }));
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

/** A purge may have begun under an earlier operation that failed. */
async function startOf(
  tx: Queryable,
  { operation }: HardDeleteInput,
  stores: readonly PurgeStoreRow[],
): Promise<string> {
  const { startedAt } = await getTenantOperation(tx, operation);
  const earliest = [startedAt, ...stores.flatMap((s) => [s.countedAt, s.deletedAt ?? s.countedAt])];
  return earliest.toSorted((a, b) => Date.parse(a) - Date.parse(b))[0]!;
}

/** Every time of a certificate is by one clock. */
async function databaseTime(tx: Queryable): Promise<string> {
  const { rows } = await tx.query<{ now: string }>(`select to_json(now())#>>'{}' as now`);
  return rows[0]!.now;
}

/** Postgres writes its own zone; the certificate is in UTC, to the millisecond. */
function utc(time: string): string {
  return new Date(time).toISOString();
}
