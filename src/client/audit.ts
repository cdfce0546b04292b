import { exportAudit } from '../registry/auditFile.js';
import {
  type AuditFilter,
  type AuditHead,
  type AuditRow,
  type AuditVerdict,
  listAudit,
  verifyAudit,
} from '../registry/audit.js';
import type { Connections } from './connections.js';

export type { AuditHead, AuditRow, AuditVerdict } from '../registry/audit.js';

/** Rows read at once. */
const PAGE = 1000;

/** Who did what, when, why and with which outcome: read, proven whole, and taken out. */
export class AuditClient {
  constructor(private readonly connections: Connections) {}

  /** Newest first, `limit` at most, read in pages. @throws OpsError `PermissionDenied` */
  async *list(filter: AuditFilter): AsyncGenerator<AuditRow> {
    const tenant = await this.connections.authorizeList('audit list', filter.tenant);
    let { before } = filter;
    for (let left = filter.limit; left > 0;) {
      const limit = Math.min(PAGE, left);
      const rows = await listAudit(this.connections.pool, { ...filter, tenant, before, limit });
      yield* rows;
      if (rows.length < limit) return;
      left -= rows.length;
      before = rows.at(-1)!.seq;
    }
  }

  /**
   * Computes the whole chain again.
   *
   * @param noted a head of before, which must still be in it
   * @throws OpsError `PermissionDenied`
   */
  async verify(noted?: AuditHead): Promise<AuditVerdict> {
    await this.connections.authorize('audit verify');
    return verifyAudit(this.connections.pool, noted);
  }

  /** Writes the whole chain to a new file; see `exportAudit`. @throws OpsError `PermissionDenied`, `Conflict` */
  async export(file: string): Promise<AuditHead> {
    await this.connections.authorize('audit export');
    return exportAudit(this.connections.pool, file);
  }
}
