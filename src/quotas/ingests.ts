import type { OperationId } from '../domain/ids.js';
import { type Pool, type Queryable, transaction } from '../registry/database.js';
import { endOperation } from '../registry/operationLog.js';
import { findOperation } from '../registry/operations.js';
import type { TenantLife } from '../registry/tenants.js';
import { reserve, settle } from './reservations.js';

/** One of the tenant's ingests that may run at once; given back when the operation has ended. @throws QuotaRefused */
export async function takeIngest(tx: Queryable, life: TenantLife, operation: OperationId): Promise<void> {
  await reserve(tx, { life, key: operation, operation }, { concurrent_ingests: 1 });
}

/** Ends an ingest, and with it what it held. */
export async function closeIngest(
  pool: Pool,
  operation: OperationId,
  end: Parameters<typeof endOperation>[3],
): Promise<void> {
  await transaction(pool, async (tx) => {
    const row = await findOperation(tx, operation);
    await endOperation(tx, operation, 'ingest', end);
    if (row?.tenant && row.incarnation)
      await settle(tx, { life: { tenant: row.tenant, incarnation: row.incarnation }, key: operation });
  });
}
