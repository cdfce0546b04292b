import { QUOTA_NEAR } from '../../domain/health/checks.js';
import type { QuotaUse } from '../resources.js';
import { type Check, unlessActive } from './check.js';

/** No quota is nearly used up. */
export function quotasCheck(quotaUse: QuotaUse): Check {
  return {
    name: 'quotas',
    needs: [],
    skip: unlessActive,
    settledOnly: false,
    async run({ row }) {
      const near = (await quotaUse(row)).filter(({ used, max }) => used >= max * QUOTA_NEAR);
      return near.map(({ resource, used, max }) => ({
        subject: resource,
        severity: 'warning',
        message:
          used >= max
            ? `quota ${resource} is used up: ${used} of ${max}`
            : `quota ${resource} is nearly used up: ${used} of ${max}`,
        fix: `cvops quota set ${row.tenant} ${resource}=MAX`,
      }));
    },
  };
}
