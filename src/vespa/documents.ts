import { Pool } from 'undici';
import { OpsError } from '../domain/errors.js';
import { type HttpAnswer, NoAnswer, call, jsonOf, messageOf } from './http.js';
import {
  DEFAULT_BUDGET,
  DocumentError,
  FeedBlocked,
  RetriesExhausted,
  type RetryBudget,
  backoffMs,
  pause,
  policyFor,
} from './retry.js';

/** Where a document lives: never built from a schema name by taking it apart. */
export interface DocumentAddress {
  readonly namespace: string;
  readonly schema: string;
  readonly id: string;
}

/**
 * document/v1 over a pool of HTTP/1.1 connections, which on cleartext is the fastest that Node has. Every call is
 * retried by the table in `retry.ts`.
 */
export class DocumentClient {
  private readonly pool: Pool;

  constructor(vespaUrl: string, options: { readonly connections?: number } = {}) {
    this.pool = new Pool(vespaUrl, {
      connections: options.connections ?? 16,
      headersTimeout: 190_000,
      bodyTimeout: 190_000,
    });
    this.origin = vespaUrl;
  }

  private readonly origin: string;

  /** @param body `{"fields":{…}}` @throws DocumentError, FeedBlocked, RetriesExhausted */
  async put(at: DocumentAddress, body: Buffer, signal?: AbortSignal): Promise<void> {
    const answer = await this.attempt('POST', documentPath(at), { body, signal });
    // 200 although something was dropped: the loader must not call that stored.
    for (const header of ['x-vespa-ignored-fields', 'x-vespa-ignored-operation']) {
      if (answer.headers[header] !== undefined)
        throw new DocumentError(answer.status, `the server ignored a part of it (${header})`);
    }
  }

  /** @returns the document's fields, or undefined when it is not there */
  async get(
    at: DocumentAddress,
    options: { readonly fieldSet?: string; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Record<string, unknown> | undefined> {
    const query = options.fieldSet === undefined ? '' : `?fieldSet=${encodeURIComponent(options.fieldSet)}`;
    const answer = await this.attempt('GET', documentPath(at) + query, { signal: options.signal, also: 404 });
    if (answer.status === 404) return undefined;
    return (jsonOf(answer) as { fields?: Record<string, unknown> }).fields ?? {};
  }

  /** Removing what is not there is success. */
  async remove(at: DocumentAddress, signal?: AbortSignal): Promise<void> {
    await this.attempt('DELETE', documentPath(at), { signal });
  }

  /** Counts every document of a schema by visiting their ids to the end. */
  async count(schema: string, cluster: string, signal?: AbortSignal): Promise<number> {
    let count = 0;
    let continuation: string | undefined;
    do {
      const query = new URLSearchParams({
        cluster,
        selection: schema,
        fieldSet: '[id]',
        wantedDocumentCount: '1000',
      });
      if (continuation !== undefined) query.set('continuation', continuation);
      const answer = await this.attempt('GET', `/document/v1/?${query.toString()}`, { signal });
      const page = jsonOf(answer) as { documents?: unknown[]; documentCount: number; continuation?: string };
      // Some releases counted documents that they did not send.
      if ((page.documents ?? []).length !== page.documentCount)
        throw new Error(
          `visit of ${schema}: ${page.documentCount} counted, ${page.documents?.length ?? 0} sent`,
        );
      count += page.documentCount;
      continuation = page.continuation;
    } while (continuation !== undefined);
    return count;
  }

  async close(): Promise<void> {
    await this.pool.close();
  }

  private async attempt(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    options: {
      readonly body?: Buffer;
      readonly signal?: AbortSignal | undefined;
      readonly also?: number;
      readonly budget?: RetryBudget;
    },
  ): Promise<HttpAnswer> {
    const deadline = Date.now() + (options.budget ?? DEFAULT_BUDGET).totalMs;
    for (let attempt = 0; ; attempt++) {
      let failure: string;
      let retryAfter: string | undefined;
      try {
        const answer = await call(method, this.origin + path, {
          ...(options.body === undefined ? {} : { body: options.body, type: 'application/json' }),
          signal: options.signal,
          dispatcher: this.pool,
        });
        if (answer.status === 200 || answer.status === options.also) return answer;
        failure = `${answer.status}: ${messageOf(answer)}`;
        const policy = policyFor(answer.status);
        if (policy === 'blocked') throw new FeedBlocked(failure);
        if (policy === 'fail') throw new DocumentError(answer.status, failure);
        const header = answer.headers['retry-after'];
        retryAfter = typeof header === 'string' ? header : undefined;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        failure = error.message;
      }
      const wait = backoffMs(attempt, retryAfter);
      if (Date.now() + wait > deadline)
        throw new RetriesExhausted(`gave up after ${attempt + 1} tries: ${failure}`);
      await pause(wait, options.signal);
    }
  }
}

/**
 * The path of one document. `encodeURIComponent` also encodes `+`, which the server would read as a space; `.` and `..`
 * are taken out of a path before the server sees them, so such ids cannot be addressed at all.
 */
export function documentPath({ namespace, schema, id }: DocumentAddress): string {
  if (id === '' || id === '.' || id === '..')
    throw new OpsError('InvalidInput', `not a document id: ${JSON.stringify(id)}`);
  return `/document/v1/${encodeURIComponent(namespace)}/${encodeURIComponent(schema)}/docid/${encodeURIComponent(id)}`;
}

export function documentIdText({ namespace, schema, id }: DocumentAddress): string {
  return `id:${namespace}:${schema}::${id}`;
}
