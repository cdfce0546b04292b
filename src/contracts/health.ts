import { z } from 'zod';
import { tenantId } from './common.js';

/** `checkHealth`: of one tenant, or of all and the installation. */
export const checkHealthInput = z.strictObject({ tenant: tenantId.nullable() });

export interface CheckHealthInput extends z.output<typeof checkHealthInput> {
  /** Where a run that became too long goes on. */
  readonly after?: string;
  readonly sum?: CheckHealthResult;
}

export interface CheckHealthResult {
  /** Tenants looked at. */
  readonly checked: number;
  /** Alerts. */
  readonly opened: number;
  readonly resolved: number;
}
