import { OpsError } from '../domain/errors.js';
import type { TenantRow } from '../registry/tenants.js';

type Former = Pick<TenantRow, 'tenant' | 'state' | 'quarantineUntil'>;

/** Whether the name of a purged tenant is still kept from being given to somebody else. */
export function isQuarantined(former: Former | undefined, now = new Date()): boolean {
  return former?.quarantineUntil != null && new Date(former.quarantineUntil) > now;
}

/** @throws OpsError `WrongState` while the name is quarantined */
export function requireFreeName(former: Former, now = new Date()): void {
  if (!isQuarantined(former, now)) return;
  throw new OpsError(
    'WrongState',
    `the name ${former.tenant} was purged and is kept free until ${former.quarantineUntil}`,
    'choose another name, or take it with --override-quarantine',
  );
}
