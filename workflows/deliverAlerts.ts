import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { alertsChanged } from './messages.js';
import { healthLooks, titled } from './options.js';
import { versioned } from './versioning.js';

const MAX_HISTORY = 2_000;
/** Least and most seconds between two tries. */
const PAUSE = { least: 1, most: 900 };

/**
 * Tells log and webhook of alerts until nothing is left to be told. One at a time; a signal while it waits for its next
 * try makes it look again.
 */
export async function deliverAlerts({ told = 0 }: { readonly told?: number }): Promise<{ told: number }> {
  let asked = false;
  setHandler(alertsChanged, () => void (asked = true));
  for (let total = told; ;) {
    asked = false;
    const { told: now, pending, dueInSeconds } = await titled(healthLooks.deliverAlerts, 'what is due');
    total += now;
    setCurrentDetails(`told **${total}** event(s), **${pending}** not taken yet`);
    if (pending === 0 && !asked) return { told: total };
    const pause = Math.min(PAUSE.most, Math.max(PAUSE.least, dueInSeconds));
    if (!asked) await condition(() => asked, pause * 1000, { summary: 'until the next try' });
    if (workflowInfo().historyLength > MAX_HISTORY)
      await continueAsNew<typeof deliverAlerts>({ told: total });
  }
}
versioned('AUTO_UPGRADE', deliverAlerts);
