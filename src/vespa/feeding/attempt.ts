import { OpsError } from '../../domain/errors.js';
import { type HttpAnswer, NoAnswer, messageOf } from '../http.js';
import { DocumentError, policyFor } from '../retry.js';
import type { DocumentMethod, Transport } from './transport.js';

/** What one try came to. */
export type Attempt =
  | { readonly kind: 'done'; readonly answer: HttpAnswer }
  | {
      readonly kind: 'retry';
      readonly status: number | 'networkError';
      readonly failure: string;
      readonly retryAfter: string | undefined;
    }
  | { readonly kind: 'blocked'; readonly failure: string }
  | { readonly kind: 'failed'; readonly error: Error };

/** What a put answers with 200 although something was dropped: the loader must not call that stored. */
const DROPPED = ['x-vespa-ignored-fields', 'x-vespa-ignored-operation'];

/**
 * One request, judged by the table of `retry.ts`.
 *
 * @param also a status that is an answer too
 * @throws the signal's reason when it was aborted; OpsError `PermissionDenied` when the endpoint does not let us in, which
 *   is no document's fault; OpsError `InvalidInput` when the bearer token cannot be read
 */
export async function attempt(
  transport: Transport,
  method: DocumentMethod,
  path: string,
  options: {
    readonly body?: Buffer;
    readonly signal?: AbortSignal | undefined;
    readonly also?: number;
  } = {},
): Promise<Attempt> {
  let answer: HttpAnswer;
  try {
    answer = await transport.send(method, path, options.body, options.signal);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return { kind: 'retry', status: 'networkError', failure: error.message, retryAfter: undefined };
  }
  return judge(answer, method, options.also);
}

/** What an answer means by the table. @throws OpsError `PermissionDenied` */
export function judge(answer: HttpAnswer, method: DocumentMethod, also?: number): Attempt {
  const { status, headers } = answer;
  if (status === 200) {
    const dropped = method === 'POST' ? DROPPED.find((header) => headers[header] !== undefined) : undefined;
    if (dropped === undefined) return { kind: 'done', answer };
    return {
      kind: 'failed',
      error: new DocumentError(status, `the server ignored a part of it (${dropped})`),
    };
  }
  if (status === also) return { kind: 'done', answer };
  const failure = `${status}: ${messageOf(answer)}`;
  if (status === 401 || status === 403)
    throw new OpsError(
      'PermissionDenied',
      `Vespa does not let us in: ${failure}`,
      'check VESPA_CERT_FILE and VESPA_KEY_FILE, or VESPA_TOKEN_REF, and what the application grants them',
    );
  switch (policyFor(status)) {
    case 'blocked':
      return { kind: 'blocked', failure };
    case 'fail':
      return { kind: 'failed', error: new DocumentError(status, failure) };
    case 'retry': {
      const retryAfter = headers['retry-after'];
      return {
        kind: 'retry',
        status,
        failure,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
      };
    }
  }
}
