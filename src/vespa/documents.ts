import { isCanaryDocument } from '../domain/canaries.js';
import { OpsError } from '../domain/errors.js';
import { type Attempt, attempt } from './feeding/attempt.js';
import type { AnswerStream } from './feeding/answerStream.js';
import type { FeedTarget } from './feeding/feeder.js';
import type { FeedOperation } from './feeding/operation.js';
import { type DocumentMethod, Transport, type VespaAccess } from './feeding/transport.js';
import { type HttpAnswer, jsonOf } from './http.js';
import { DEFAULT_BUDGET, FeedBlocked, RetriesExhausted, backoffMs, pause } from './retry.js';

const DEFAULT_CONNECTIONS = 32;

/** Where a document lives: never built from a schema name by taking it apart. */
export interface DocumentAddress {
  readonly namespace: string;
  readonly schema: string;
  readonly id: string;
}

/**
 * document/v1 of one endpoint; see `Transport` for the connections. Every call but `tryOnce` is retried by the table in
 * `retry.ts`.
 */
export class DocumentClient implements FeedTarget {
  private readonly transport: Transport;

  /** @param options.connections most requests at a time, 32 by default */
  constructor(
    vespaUrl: string,
    options: { readonly connections?: number; readonly access?: VespaAccess } = {},
  ) {
    this.transport = new Transport(vespaUrl, options.connections ?? DEFAULT_CONNECTIONS, options.access);
  }

  get capacity(): number {
    return this.transport.capacity;
  }

  /** One operation, tried once. @throws the signal's reason, or OpsError when the token cannot be read */
  async tryOnce(operation: FeedOperation, signal?: AbortSignal): Promise<Attempt> {
    let path: string;
    try {
      path = documentPath(operation.at);
    } catch (error) {
      return { kind: 'failed', error: error as Error };
    }
    return 'body' in operation
      ? attempt(this.transport, 'POST', path, { body: operation.body, signal })
      : attempt(this.transport, 'DELETE', path, { signal });
  }

  /** @param body `{"fields":{…}}` @throws DocumentError, FeedBlocked, RetriesExhausted */
  async put(at: DocumentAddress, body: Buffer, signal?: AbortSignal): Promise<void> {
    await this.attempt('POST', documentPath(at), { body, signal });
  }

  /**
   * Puts a document unless there is one by that id.
   *
   * @param filled a string field that every document of the schema has
   * @returns false when there was one: it may be what an earlier try of this very put stored
   */
  async putNew(at: DocumentAddress, filled: string, body: Buffer, signal?: AbortSignal): Promise<boolean> {
    // A condition that no document meets, and `create` for when there is none to meet it.
    const query = new URLSearchParams({ condition: `${at.schema}.${filled} == ""`, create: 'true' });
    const path = `${documentPath(at)}?${query.toString()}`;
    const { status } = await this.attempt('POST', path, { body, signal, also: 412 });
    return status !== 412;
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

  /** Counts every document of a schema, but for canaries, by visiting their ids to the end. */
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
      const page = jsonOf(answer) as {
        documents?: { id: string }[];
        documentCount: number;
        continuation?: string;
      };
      const { documents = [] } = page;
      // Some releases counted documents that they did not send.
      if (documents.length !== page.documentCount)
        throw new Error(`visit of ${schema}: ${page.documentCount} counted, ${documents.length} sent`);
      count += documents.filter(({ id }) => !isCanaryDocument(id)).length;
      continuation = page.continuation;
    } while (continuation !== undefined);
    return count;
  }

  /** A visit's answer as it arrives, tried once; see `Transport.stream`. */
  stream(
    path: string,
    options: { readonly accept: string; readonly idleMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<AnswerStream> {
    return this.transport.stream(path, options);
  }

  /** One query of the same endpoint, tried once. @throws NoAnswer, the signal's reason; any HTTP status is an answer */
  search(body: object, signal?: AbortSignal): Promise<HttpAnswer> {
    return this.transport.send('POST', '/search/', Buffer.from(JSON.stringify(body)), signal);
  }

  async close(): Promise<void> {
    await this.transport.close();
  }

  private async attempt(
    method: DocumentMethod,
    path: string,
    options: { readonly body?: Buffer; readonly signal?: AbortSignal | undefined; readonly also?: number },
  ): Promise<HttpAnswer> {
    const deadline = Date.now() + DEFAULT_BUDGET.totalMs;
    for (let tries = 1; ; tries++) {
      const result = await attempt(this.transport, method, path, options);
      if (result.kind === 'done') return result.answer;
      if (result.kind === 'blocked') throw new FeedBlocked(result.failure);
      if (result.kind === 'failed') throw result.error;
      const wait = backoffMs(tries - 1, result.retryAfter);
      if (Date.now() + wait > deadline)
        throw new RetriesExhausted(`gave up after ${tries} tries: ${result.failure}`);
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
