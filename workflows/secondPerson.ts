import { CancellationScope, condition, isCancellation, setHandler } from '@temporalio/workflow';
import type { ApprovalDecision } from '../src/contracts/approvals.js';
import { type Held, isHeld } from '../src/domain/approvals.js';
import type { OperationId } from '../src/domain/ids.js';
import { failureRecord, operationFailure } from './failures.js';
import { decideApproval } from './messages.js';
import { noteState } from './operationState.js';
import { approvals, titled } from './options.js';
import type { Progress } from './progress.js';

type Carried = Awaited<ReturnType<typeof approvals.decideApproval>>;

/**
 * Waits where a policy wants a second administrator. The registry holds the step back and lets it go; this only asks it again
 * once somebody has decided. Must be made before the workflow first waits: an update may be there already.
 */
export class SecondPerson {
  private decided = false;

  /** @param carryOut what was granted and has no step that waits for it */
  constructor(carryOut?: (decided: Carried) => Promise<void>) {
    setHandler(decideApproval, (decision: ApprovalDecision) =>
      CancellationScope.nonCancellable(async () => {
        try {
          const verdict = decision.grant ? 'granted' : 'refused';
          const done = await titled(
            approvals.decideApproval,
            `${verdict} by ${decision.principal}`,
            decision,
          );
          this.decided = true;
          if (done.state === 'granted') await carryOut?.(done);
          return { operation: done.operation, state: done.state };
        } catch (error) {
          throw operationFailure(failureRecord(error));
        }
      }),
    );
  }

  /**
   * Tries a guarded step until it is not held back.
   *
   * @throws what the step throws: `PermissionDenied` when it was refused, or nobody has agreed in time
   */
  async agreed<T>(
    step: () => Promise<T | Held>,
    show: (question: Held['held']) => (wait: () => Promise<unknown>) => Promise<unknown>,
  ): Promise<T> {
    let waited = false;
    try {
      for (;;) {
        this.decided = false;
        const answer = await step();
        if (!isHeld(answer)) {
          if (waited) noteState('running');
          return answer;
        }
        const { held } = answer;
        waited = true;
        noteState('waiting');
        await show(held)(() => this.decision(held));
      }
    } catch (error) {
      if (waited) noteState(isCancellation(error) ? 'cancelled' : 'failed');
      throw error;
    }
  }

  private async decision({ operation, expiresAt }: Held['held']): Promise<void> {
    try {
      // By the database's clock it may not be over yet: then it is asked again a second later.
      const left = Math.max(1000, expiresAt - Date.now());
      await condition(() => this.decided, left, { summary: 'for a second administrator' });
    } catch (error) {
      const key = { operation: operation as OperationId };
      await CancellationScope.nonCancellable(() =>
        titled(approvals.withdrawApproval, 'nobody wants it any more', key),
      );
      throw error;
    }
  }
}

/** Shows the wait as a step of an operation. */
export function asStep(steps: Progress): Parameters<SecondPerson['agreed']>[1] {
  return ({ operation }) =>
    (wait) =>
      steps.step(`wait for a second administrator: cvops approval grant ${operation}`, wait);
}
