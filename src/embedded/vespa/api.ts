import type { Readable } from 'node:stream';

/** One HTTP request as the handlers see it, whichever protocol it came by. */
export interface ApiRequest {
  readonly method: string;
  /** Raw path, still percent-encoded, without the query. */
  readonly path: string;
  /** Raw query without `?`, empty when there is none. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** `host:port` as the client named it: links in answers carry it. */
  readonly host: string;
  /** The whole body, inflated when it came with `Content-Encoding: gzip`; never over `limitBytes`. */
  body(limitBytes?: number): Promise<Buffer>;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | Readable;
}

export type ApiHandler = (request: ApiRequest) => Promise<ApiResponse>;
