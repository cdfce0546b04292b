import { S3ServiceException } from '@aws-sdk/client-s3';
import { OpsError } from '../../../domain/errors.js';
import { quoteForMessage } from '../../../domain/ids.js';
import { BrokenObject } from '../../../sources/s3/objectStream.js';
import { s3Failure } from '../../../sources/s3/failures.js';
import { StoreUnavailable } from '../store.js';

type How = StoreUnavailable['how'];

/** What S3 answers that may pass, by the name of the error; docs/backup-stores.md has the same table. */
const BY_NAME: Readonly<Record<string, How>> = {
  SlowDown: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  RequestLimitExceeded: 'throttled',
  TooManyRequestsException: 'throttled',
  QuotaExceeded: 'full',
  XMinioStorageFull: 'full',
  XMinioAdminBucketQuotaExceeded: 'full',
  RequestTimeout: 'silent',
  TimeoutError: 'silent',
  OperationAborted: 'silent',
  // Damaged on the way.
  BadDigest: 'silent',
  IncompleteBody: 'silent',
  XAmzContentSHA256Mismatch: 'silent',
  XAmzContentChecksumMismatch: 'silent',
  // An upload that was swept away, or whose parts were.
  NoSuchUpload: 'silent',
  InvalidPart: 'silent',
  // Whoever gives credentials gives new ones.
  ExpiredToken: 'silent',
  RequestTimeTooSkewed: 'silent',
};

const BY_STATUS: Readonly<Record<number, How>> = {
  429: 'throttled',
  503: 'throttled',
  507: 'full',
  500: 'silent',
  502: 'silent',
  504: 'silent',
};

const NETWORK = [
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
];

/** Of status 403, and not for lack of a right. */
const OTHER_THAN_DENIED = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidObjectState'];

/** Where and at what a request failed. */
export interface Attempted {
  readonly bucket: string;
  /** What S3 calls the right to do it, as `s3:GetObject`. */
  readonly action: string;
  /** In the store. */
  readonly at: string;
}

/** What an error of the SDK means for a store. Says nothing of what a server wrote but the name of its error. */
export function s3StoreFailure(error: unknown, { bucket, action, at }: Attempted): unknown {
  if (error instanceof OpsError || error instanceof StoreUnavailable) return error;
  if (error instanceof BrokenObject) return brokenFailure(error, at);
  const answer = answerOf(error);
  const how = mayPass(error);
  const where = `bucket ${quoteForMessage(bucket)}, ${action} of ${quoteForMessage(at)}`;
  if (how !== undefined) return new StoreUnavailable(`S3 fails (${answer}): ${where}`, how);
  if (statusOf(error) === 403 && !OTHER_THAN_DENIED.includes(errorName(error)))
    return new OpsError(
      'PermissionDenied',
      `S3 does not allow ${action}: bucket ${quoteForMessage(bucket)}`,
      `allow ${action} to the data worker; docs/backup-stores.md lists what a store needs`,
    );
  const known = s3Failure(error, bucket, at);
  if (known instanceof OpsError) return known;
  if (error instanceof S3ServiceException)
    return new OpsError('Rejected', `S3 refuses (${answer}): ${where}`);
  return error;
}

function mayPass(error: unknown): How | undefined {
  if (!(error instanceof Error)) return undefined;
  const byName = BY_NAME[error.name];
  if (byName !== undefined) return byName;
  if (error instanceof S3ServiceException) return BY_STATUS[statusOf(error) ?? 0];
  return NETWORK.includes((error as NodeJS.ErrnoException).code ?? '') ? 'silent' : undefined;
}

function brokenFailure({ how, message }: BrokenObject, at: string): OpsError | StoreUnavailable {
  const said = `${quoteForMessage(at)}: ${message}`;
  switch (how) {
    case 'cutOff':
      return new StoreUnavailable(said, 'silent');
    case 'changed':
      return new OpsError('Conflict', said);
    case 'damaged':
      return new OpsError('VerificationFailed', said);
  }
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function answerOf(error: unknown): string {
  const name = errorName(error);
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const words = [statusOf(error), code ?? name].filter((word) => /^[A-Za-z0-9_.]{1,60}$/.test(String(word)));
  return words.length === 0 ? 'no name for it' : words.join(' ');
}
