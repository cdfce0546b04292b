import { setCurrentDetails } from '@temporalio/workflow';
import { reconciling, titled } from './options.js';
import { versioned } from './versioning.js';

/**
 * Starts what should run and does not: the wait of an inactive tenant whose workflow was lost with its namespace or
 * terminated, and the purge of a tenant whose last one failed. Runs daily by a schedule.
 */
export async function reconcileRetention(input: {
  readonly cluster: string;
}): Promise<{ retentions: number; purges: number }> {
  const started = await titled(
    reconciling.reconcileRetention,
    'every tenant that is inactive or purging',
    input,
  );
  setCurrentDetails(`started **${started.retentions}** retention(s) and **${started.purges}** purge(s)`);
  return started;
}
versioned('PINNED', reconcileRetention);
