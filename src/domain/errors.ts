import { redact } from './redaction.js';

/**
 * The closed set of expected failures. A type travels as `ApplicationFailure.type` through Temporal and as
 * `error.code` in the command's JSON; the exit code is part of the command's contract.
 */
export const FAILURES = {
  InvalidInput: { exitCode: 2 },
  PartlyDone: { exitCode: 3 },
  PermissionDenied: { exitCode: 4 },
  NotFound: { exitCode: 5 },
  WrongState: { exitCode: 6 },
  Conflict: { exitCode: 6 },
  QuotaExceeded: { exitCode: 7 },
  VerificationFailed: { exitCode: 8 },
  /** A package, schema or document that the server refuses for good. */
  Rejected: { exitCode: 1 },
  /** Something outside did not do its part, and retrying within the operation did not help. */
  Unavailable: { exitCode: 1 },
} as const;

/**
 * Types of the activity failures that say a video could not be fed through no fault of its own: the run parks. They stay
 * within the workflow, and no operation ends with one.
 */
export const FEED_REFUSALS = { blocked: 'FeedBlocked', silent: 'VespaSilent' } as const;

export type FailureType = keyof typeof FAILURES;

export function isFailureType(type: string | undefined | null): type is FailureType {
  return type !== undefined && type !== null && Object.hasOwn(FAILURES, type);
}

/**
 * An expected failure: the message says what happened, the hint what to do next. Pure code throws it; the activity
 * boundary turns it into a non-retryable, benign `ApplicationFailure` (see `activities/failures.ts`).
 */
export class OpsError extends Error {
  override readonly name = 'OpsError';

  readonly hint?: string;

  /** Message and hint come without secrets: they end in histories, ledgers, logs and answers. */
  constructor(
    readonly type: FailureType,
    message: string,
    hint?: string,
  ) {
    super(redact(message));
    if (hint !== undefined) this.hint = redact(hint);
  }

  get exitCode(): number {
    return FAILURES[this.type].exitCode;
  }
}

/** For `default:` of a switch over a union: a new member becomes a compile error. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value ${JSON.stringify(value)}`);
}
