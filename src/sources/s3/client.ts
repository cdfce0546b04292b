import { S3Client } from '@aws-sdk/client-s3';

/** Where S3 is, beside what the SDK finds by itself in the environment, profiles and roles. */
export interface S3Settings {
  /** Another server than Amazon's, `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`; empty: Amazon's. */
  readonly s3Endpoint: string;
}

export interface S3Patience {
  /** Attempts for one request, the first included; what outlasts them is for Temporal to try again. */
  readonly attempts: number;
  /** How long a connection may be silent in the middle of a request or an answer. */
  readonly silentMs: number;
}

const PATIENCE: S3Patience = { attempts: 6, silentMs: 60_000 };

/**
 * A client with the SDK's standard credential chain. A server of one's own gets buckets in the path, as it seldom has a
 * host name for each, and a region if none is set, as it seldom has any.
 */
export function s3Client(
  { s3Endpoint }: S3Settings,
  env: NodeJS.ProcessEnv = process.env,
  { attempts, silentMs }: S3Patience = PATIENCE,
): S3Client {
  const region = env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || (s3Endpoint === '' ? '' : 'us-east-1');
  return new S3Client({
    maxAttempts: attempts,
    followRegionRedirects: true,
    // The SDK's `requestTimeout` only warns.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: silentMs },
    ...(region === '' ? {} : { region }),
    ...(s3Endpoint === '' ? {} : { endpoint: s3Endpoint, forcePathStyle: true }),
  });
}
