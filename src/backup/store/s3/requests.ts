import { type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { orAborted } from '../../../orAborted.js';
import { StoreUnavailable } from '../store.js';
import { s3StoreFailure } from './failures.js';

export interface SendOptions {
  readonly abortSignal?: AbortSignal;
}

/** Sends requests about one bucket. The SDK tries each again; what it gives up is told in the words of a store. */
export class Requests {
  private answered = false;

  constructor(
    readonly client: S3Client,
    readonly bucket: string,
  ) {}

  /**
   * Sends one request, and waits no longer than the signal lets it.
   *
   * @param action what S3 calls the right to do it
   * @param at the place in the store
   */
  async call<T>(
    action: string,
    at: string,
    signal: AbortSignal | undefined,
    send: (options: SendOptions) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    try {
      const answer = await orAborted(send(signal ? { abortSignal: signal } : {}), signal);
      this.answered = true;
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      throw this.failure(error, action, at);
    }
  }

  failure(error: unknown, action: string, at: string): unknown {
    // At the start a lack of credentials is final; later it is an outage of whoever gives them.
    if (this.answered && error instanceof Error && error.name === 'CredentialsProviderError')
      return new StoreUnavailable('no credentials for S3 just now', 'silent');
    return s3StoreFailure(error, { bucket: this.bucket, action, at });
  }
}

/** For `catch`: these refusals are an answer, not a failure. */
export function unlessRefused(...names: readonly (string | number)[]): (error: unknown) => undefined {
  return (error) => {
    const refused =
      error instanceof S3ServiceException &&
      (names.includes(error.name) || names.includes(error.$metadata.httpStatusCode ?? 0));
    if (!refused) throw error;
  };
}
