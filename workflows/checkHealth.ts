import { continueAsNew, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { CheckHealthInput, CheckHealthResult } from '../src/contracts/health.js';
import { healthLooks, healthSteps, titled } from './options.js';
import { versioned } from './versioning.js';

/** Pages of one run: five events each. */
const MAX_HISTORY = 2_500;

/**
 * Looks at the installation and at all tenants, page by page, or at one tenant, and opens and resolves alerts. It mends
 * nothing.
 */
export async function checkHealth({
  tenant,
  after = '',
  sum = { checked: 0, opened: 0, resolved: 0 },
}: CheckHealthInput): Promise<CheckHealthResult> {
  let total = sum;
  const add = ({ checked, opened, resolved }: CheckHealthResult): void => {
    total = {
      checked: total.checked + checked,
      opened: total.opened + opened,
      resolved: total.resolved + resolved,
    };
    setCurrentDetails(
      `**Health of ${tenant === null ? 'all' : `\`${tenant}\``}**\n\n` +
        `- **${total.checked}** tenant(s) looked at\n- **${total.opened}** alert(s) opened\n- **${total.resolved}** resolved`,
    );
  };
  if (after === '')
    add({ checked: 0, ...(await titled(healthLooks.checkInstallation, 'what all tenants share')) });
  for (let from: string | null = after; from !== null;) {
    const page: CheckHealthResult & { next: string | null } = await titled(
      healthLooks.checkTenants,
      tenant ?? (from === '' ? 'the first tenants' : `tenants after ${from}`),
      { tenant, after: from },
    );
    add(page);
    from = page.next;
    if (from !== null && workflowInfo().historyLength > MAX_HISTORY)
      await continueAsNew<typeof checkHealth>({ tenant, after: from, sum: total });
  }
  await titled(healthSteps.requestDelivery, 'what is to be told');
  return total;
}
versioned('PINNED', checkHealth);
