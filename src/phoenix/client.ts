import { type ZodType, z } from 'zod';
import { OpsError } from '../domain/errors.js';

const CUT = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
/** More than one connection that waits may have been closed meanwhile. */
const MAX_TRIES = 3;

/** A failed call; `status` 0 when there was no answer at all. Both may pass, so neither is an `OpsError`. */
export class PhoenixError extends Error {
  override readonly name = 'PhoenixError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** `JSON.parse`, or one that keeps more of a number. @throws SyntaxError */
export type JsonParser = (text: string) => unknown;

/** An answer that was read to its end, so that its connection is free again. */
export interface PhoenixAnswer {
  readonly status: number;
  /** Lower case, without parameters; empty when the server named none. */
  readonly contentType: string;
  readonly body: string;
}

export interface PhoenixOptions {
  /** For one call, its answer's body included; 30,000 when not given. */
  readonly timeoutMs?: number;
  /** Bearer token, for a Phoenix with `PHOENIX_ENABLE_AUTH`. */
  readonly token?: string;
}

/**
 * The few REST and GraphQL calls of Phoenix that operations need. Its error bodies are plain text as often as JSON, and
 * an unknown path answers 200 with the UI's HTML, so the content type is checked before anything is parsed.
 */
export class PhoenixClient {
  private readonly url: string;

  /** @param url may have a path, for a Phoenix behind a proxy */
  constructor(
    url: string,
    private readonly options: PhoenixOptions = {},
  ) {
    this.url = baseUrl(url);
  }

  /**
   * @returns undefined for 404
   * @throws PhoenixError for any other answer but a 200 of this shape
   */
  async get<T>(path: string, shape: ZodType<T>, parser?: JsonParser): Promise<T | undefined> {
    const answer = await this.send('GET', path);
    if (answer.status === 404) return undefined;
    requireStatus(answer, 200);
    return read(answer, shape, `GET ${path}`, parser);
  }

  /** @throws PhoenixError only when no answer came in time: what its status means is the caller's to know */
  async send(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<PhoenixAnswer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.once(method, path, body);
      } catch (error) {
        // Phoenix closes a connection after an idle while, and after every 500: one that was just being used again.
        if (method !== 'POST' && attempt < MAX_TRIES && CUT.has(codeOf(error))) continue;
        throw new PhoenixError(0, `no answer from Phoenix at ${this.url}: ${reason(error)}`);
      }
    }
  }

  /** @throws PhoenixError also for errors in the query, which come as 200 with `errors` */
  async graphql<T>(
    query: string,
    variables: Readonly<Record<string, unknown>>,
    shape: ZodType<T>,
    parser?: JsonParser,
  ): Promise<T> {
    const answer = await this.send('POST', '/graphql', { query, variables });
    requireStatus(answer, 200);
    const { data, errors } = read(answer, graphqlAnswer, 'GraphQL', parser);
    if (errors?.[0]) throw new PhoenixError(200, `GraphQL: ${errors[0].message}`);
    return parse(data, shape, 'GraphQL');
  }

  private async once(method: string, path: string, body: unknown): Promise<PhoenixAnswer> {
    const { timeoutMs = 30_000, token } = this.options;
    const answer = await fetch(`${this.url}${path}`, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...authorization(token),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const contentType = answer.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
    return { status: answer.status, contentType, body: await answer.text() };
  }
}

const graphqlAnswer = z.object({
  data: z.unknown(),
  errors: z.array(z.object({ message: z.string() })).nullish(),
});

/** @throws PhoenixError when the answer is not JSON of this shape */
export function read<T>(
  { status, contentType, body }: PhoenixAnswer,
  shape: ZodType<T>,
  what: string,
  parser: JsonParser = JSON.parse,
): T {
  if (contentType !== 'application/json')
    throw new PhoenixError(status, `${what}: not a Phoenix API answer, but ${contentType || 'of no type'}`);
  let json: unknown;
  try {
    json = parser(body);
  } catch {
    throw new PhoenixError(status, `${what}: broken JSON: ${body.slice(0, 200)}`);
  }
  return parse(json, shape, what);
}

function parse<T>(json: unknown, shape: ZodType<T>, what: string): T {
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PhoenixError(200, `${what}: an answer of another shape: ${z.prettifyError(parsed.error)}`);
}

export function requireStatus(answer: PhoenixAnswer, ...wanted: readonly number[]): void {
  if (!wanted.includes(answer.status)) throw unexpected(answer);
}

export function unexpected({ status, body }: PhoenixAnswer): PhoenixError {
  return new PhoenixError(status, `Phoenix answered ${status}: ${body.slice(0, 200)}`);
}

export function authorization(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** Without the slash at its end, so that paths can follow. */
export function baseUrl(url: string): string {
  return new URL(url).href.replace(/\/+$/, '');
}

/** Names that survive a path and a URL: Phoenix accepts others, and then cannot find them again. */
export function checkProjectName(name: string): string {
  if (/^[a-z0-9_]{1,100}$/.test(name)) return name;
  throw new OpsError('InvalidInput', `not a Phoenix project name: ${JSON.stringify(name)}`);
}

/** `fetch failed` says nothing; what is below it does. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : error;
  return cause.message || codeOf(error) || cause.name;
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
}
