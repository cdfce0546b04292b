import { asShown, isNearLimit } from '../../domain/quotas.js';
import { quotaStates } from '../../quotas/state.js';
import { type Check, unlessActive } from './check.js';

/** No quota is nearly used up, what is reserved for work under way included. */
export const quotasCheck: Check = {
  name: 'quotas',
  needs: [],
  skip: unlessActive,
  settledOnly: false,
  async run({ resources, row }) {
    return (await quotaStates(resources.pool, row.incarnation)).flatMap((state) => {
      const { resource, max } = state;
      if (max === null || !isNearLimit(state)) return [];
      const used = state.used + state.reserved;
      const how = used >= max ? 'used up' : 'nearly used up';
      return {
        subject: resource,
        severity: 'warning' as const,
        message: `quota ${resource} is ${how}: ${asShown(resource, used)} of ${asShown(resource, max)}`,
        fix: `cvops quota set ${row.tenant} ${resource}=MAX`,
      };
    });
  },
};
