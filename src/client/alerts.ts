import { OpsError } from '../domain/errors.js';
import { type TenantId, isUuid, quoteForMessage } from '../domain/ids.js';
import { type Alert, findAlert, listAlerts, silenceAlert } from '../registry/alerts.js';
import { appendAudit } from '../registry/audit.js';
import { rehearsed, transaction } from '../registry/database.js';
import type { Connections } from './connections.js';

/** Alerts that health checks opened. */
export class AlertClient {
  constructor(private readonly connections: Connections) {}

  /** Open ones first, then the newest. @throws OpsError `PermissionDenied` */
  async list(
    tenant: TenantId | undefined,
    { resolved, limit }: { readonly resolved: boolean; readonly limit: number },
  ): Promise<Alert[]> {
    const of = await this.connections.authorizeList('alert list', tenant);
    const alerts = await listAlerts(this.connections.pool, { tenant: of, limit });
    return resolved ? alerts : alerts.filter(({ resolvedAt }) => resolvedAt === null);
  }

  /**
   * Nobody is told of it for so long, and it makes nothing fail. It stays open, and is resolved as any other. A dry run says
   * what it would be.
   *
   * @throws OpsError `NotFound`, `WrongState` when it is resolved, `PermissionDenied`: to a principal of one tenant the same
   *   of another's, of the installation's and of none
   */
  async silence(id: string, seconds: number, reason: string, dryRun = false): Promise<Alert> {
    const { pool, principal, principalTenant } = this.connections;
    await this.connections.authorize('alert silence');
    const found = isUuid(id) ? await findAlert(pool, id) : undefined;
    if (principalTenant !== undefined && found?.tenant !== principalTenant)
      return this.connections.denyTo(principalTenant, 'alert silence');
    if (found === undefined) throw notFound(id);
    return (dryRun ? rehearsed : transaction)(pool, async (tx) => {
      const silenced = await silenceAlert(tx, id, seconds);
      if (silenced === undefined)
        throw new OpsError('WrongState', `alert ${id} is resolved`, 'see what is open: cvops alert list');
      await appendAudit(tx, {
        principal,
        verb: 'silence-alert',
        tenant: silenced.tenant ?? '-',
        outcome: 'completed',
        reason,
        detail: { alert: id, seconds },
      });
      return silenced;
    });
  }
}

function notFound(id: string): OpsError {
  return new OpsError('NotFound', `no alert ${quoteForMessage(id)}`, 'see them with: cvops alert list');
}
