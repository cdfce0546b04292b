import type { Agent, Dispatcher } from 'undici';

/** Loaded at the first call: most commands make none, and it would be an eighth of their start. */
const undici = () => import('undici');

let pool: Agent | undefined;
/** One pool per process for the config server and search: short answers, few connections. */
function agent({ Agent }: Awaited<ReturnType<typeof undici>>): Agent {
  return (pool ??= new Agent({
    connections: 32,
    keepAliveTimeout: 30_000,
    headersTimeout: 380_000,
    bodyTimeout: 380_000,
  }));
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A call that got no answer: refused, reset, timed out. What it did at the other end is unknown. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** @throws NoAnswer; any HTTP status is an answer */
export async function call(
  method: Dispatcher.HttpMethod,
  url: string | URL,
  options: {
    readonly body?: Buffer | string;
    readonly type?: string;
    readonly signal?: AbortSignal | undefined;
    readonly dispatcher?: Dispatcher;
  } = {},
): Promise<HttpAnswer> {
  const loaded = await undici();
  try {
    const answer = await loaded.request(url, {
      method,
      dispatcher: options.dispatcher ?? agent(loaded),
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.type === undefined ? {} : { headers: { 'content-type': options.type } }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: Buffer.from(await answer.body.arrayBuffer()),
    };
  } catch (error) {
    options.signal?.throwIfAborted();
    const { origin } = new URL(url);
    throw new NoAnswer(
      `no answer from ${origin}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** The JSON of an answer, or undefined: bodies may be empty or HTML, above all on errors. */
export function jsonOf(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The server's own words, short enough for an error message. */
export function messageOf(answer: HttpAnswer): string {
  const json = jsonOf(answer) as
    { message?: unknown; root?: { errors?: { message?: string }[] } } | undefined;
  const message = json?.message ?? json?.root?.errors?.[0]?.message;
  if (typeof message === 'string') return message.slice(0, 2000);
  return (
    answer.body
      .toString('utf8')
      .replace(/<[^>]*>|\s+/g, ' ')
      .trim()
      .slice(0, 200) || 'no message'
  );
}
