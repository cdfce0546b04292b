import { CancellationScope, isCancellation, log, sleep } from '@temporalio/workflow';
import type { TenantKey } from '../activities/types.js';
import { fence, fenceWait, titled } from './options.js';

/** A third of the time after which it falls (`src/registry/fence.ts`). */
const RENEW_EVERY = '5 minutes';

/** A tenant that is closed to changes while this operation holds it so. */
export class Fence {
  private renewing: CancellationScope | undefined;
  private done: Promise<void> = Promise.resolve();

  constructor(private readonly key: TenantKey) {}

  /**
   * Closes the tenant and waits for the changes under way: when this resolves there are none.
   *
   * @returns since when it is closed, ISO 8601
   */
  async raise(): Promise<string> {
    const { from } = await titled(fence.raiseFence, 'close to changes', this.key);
    this.renewing = new CancellationScope();
    this.done = this.renewing
      .run(() => this.renew())
      .catch((error: unknown) => {
        // It falls, and who needs it finds it fallen: nobody's clean-up is to stop at this.
        if (!isCancellation(error)) log.error('fence no longer renewed', { error: String(error) });
      });
    await titled(fenceWait.awaitWriters, 'wait for changes under way', this.key);
    return from;
  }

  /** Fine when it was not raised. */
  async lower(): Promise<void> {
    this.renewing?.cancel();
    await this.done;
    await titled(fence.lowerFence, 'open to changes', this.key);
  }

  private async renew(): Promise<void> {
    for (let held = true; held;) {
      await sleep(RENEW_EVERY);
      ({ held } = await titled(fence.renewFence, 'keep closed to changes', this.key));
    }
  }
}
