/**
 * Workflow code for tests of the wait by the thousand: the real retention, and a purge that only moves the row. What a
 * purge does with the stores is no matter of who may begin it.
 */
import type { HardDeleteInput, HardDeleteResult } from '../../src/contracts/life.js';
import { failureRecord, operationFailure } from '../../workflows/failures.js';
import { purging } from '../../workflows/options.js';

export { softDeleteTenant } from '../../workflows/softDeleteTenant.js';

export async function hardDeleteTenant(input: HardDeleteInput): Promise<HardDeleteResult> {
  await purging.beginPurge({ ...input, now: Date.now(), creationStopped: false }).catch((error: unknown) => {
    throw operationFailure(failureRecord(error));
  });
  return purging.issueCertificate(input);
}
