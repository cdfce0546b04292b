import { FAILURES, isFailureType } from '../domain/errors.js';
import type { OperationKind } from '../domain/states.js';
import type { OperationRow } from '../registry/operations.js';
import { EXIT, ExitWith } from './output.js';

/** How an operation ended, as its row says it. */
export type Ended = Pick<OperationRow, 'kind' | 'state' | 'counts' | 'error'>;

/** They end with a verdict: with failures they were done in full, and something is not as it should be. */
const VERIFICATIONS: readonly OperationKind[] = ['verifyBackup', 'verifyIsolation', 'testIsolation'];

/** The exit code of an operation that has ended: the same whether it was waited for at once or is watched later. */
export function exitCodeOf({ kind, state, counts, error }: Ended): number {
  switch (state) {
    case 'completed':
      return EXIT.done;
    case 'completed_with_failures':
      if (VERIFICATIONS.includes(kind)) return EXIT.verification;
      // Of a rollout, what every tenant had failed or was not come to.
      return kind === 'deploySchemas' && counts['done'] === 0 ? EXIT.failed : EXIT.partly;
    default:
      return isFailureType(error?.code) ? FAILURES[error.code].exitCode : EXIT.failed;
  }
}

/** Ends the command as an operation has ended. @throws ExitWith unless all of it was done */
export function endAs(ended: Ended): void {
  const code = exitCodeOf(ended);
  if (code !== EXIT.done) throw new ExitWith(code);
}

/** The same by its result, which one that was done to its end has. */
export function endWith(kind: OperationKind, ok: boolean, counts: Ended['counts'] = {}): void {
  endAs({ kind, state: ok ? 'completed' : 'completed_with_failures', counts, error: null });
}
