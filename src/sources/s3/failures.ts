import { S3ServiceException } from '@aws-sdk/client-s3';
import { OpsError } from '../../domain/errors.js';
import { quoteForMessage } from '../../domain/ids.js';

/**
 * What an S3 failure means for an ingest. What may pass (throttling, 5xx, the network, an expired token that the machine
 * renews) stays an error that Temporal tries again; the SDK has tried it several times.
 *
 * @returns an OpsError, or the error itself
 */
export function s3Failure(error: unknown, bucket: string, key?: string): unknown {
  const named = `bucket ${quoteForMessage(bucket)}`;
  const name = error instanceof Error ? error.name : '';
  switch (name) {
    case 'NoSuchBucket':
      return noSuchBucket(bucket);
    case 'NoSuchKey':
      return new OpsError('Rejected', 'unreadable: no such object, it was there when the source was listed');
    case 'InvalidObjectState':
      return new OpsError('Rejected', 'unreadable: archived', 'restore the object from its archive first');
    case 'KeyTooLongError':
      return new OpsError('Rejected', 'unreadable: no key is that long');
    case 'InvalidAccessKeyId':
    case 'SignatureDoesNotMatch':
      return new OpsError(
        'PermissionDenied',
        'S3 does not accept the credentials',
        'check the access key and its secret in the environment of the data worker',
      );
    case 'CredentialsProviderError':
      return new OpsError(
        'PermissionDenied',
        'no credentials for S3',
        'give the data worker AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role',
      );
    case 'PermanentRedirect':
    case 'TemporaryRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return new OpsError(
        'InvalidInput',
        `${named} is in another region`,
        `set AWS_REGION${regionIn(error)} for the data worker`,
      );
    case 'ExpiredToken':
    case 'RequestTimeTooSkewed':
      return error;
  }
  if (/^Region (is missing|not accepted)/.test(error instanceof Error ? error.message : ''))
    return new OpsError(
      'InvalidInput',
      'no region for S3, or no valid one',
      'set AWS_REGION for the data worker',
    );
  if (!(error instanceof S3ServiceException)) return error;
  if (error.$metadata.httpStatusCode === 403) return denied(named, key);
  return error;
}

export function noSuchBucket(bucket: string): OpsError {
  return new OpsError(
    'NotFound',
    `S3 has no bucket ${quoteForMessage(bucket)}`,
    'check its name, and AWS_ENDPOINT_URL_S3 if you set it',
  );
}

function denied(named: string, key: string | undefined): OpsError {
  return key === undefined
    ? new OpsError('PermissionDenied', `S3 does not let ${named} be listed`, 'allow s3:ListBucket on it')
    : new OpsError(
        'PermissionDenied',
        `S3 does not let an object of ${named} be read`,
        'allow s3:GetObject on it, and kms:Decrypt if it is encrypted by a key of yours',
      );
}

function regionIn(error: unknown): string {
  const headers = error instanceof S3ServiceException ? error.$response?.headers : undefined;
  const region = headers?.['x-amz-bucket-region'];
  return region !== undefined && /^[a-z0-9-]{1,40}$/.test(region) ? `=${region}` : '';
}
