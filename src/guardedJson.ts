import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { isIPv6 } from 'node:net';
import { checkUrl, classifyAddress, readUrl } from './domain/urlGuard.js';
import { readBounded } from './readBounded.js';

/** Nothing but the class of what went wrong: what the server said may hold anything. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';

  /** @param mayPass whether the same call may do later: no answer, overloaded, failing */
  constructor(
    message: string,
    readonly mayPass: boolean,
  ) {
    super(message);
  }
}

export interface GuardedCall {
  /** A tenant's own: it goes through the guard of URLs, and so does each address that its name resolves to. */
  readonly url: string;
  readonly body: unknown;
  /** Bearer token; it goes to this URL's host and, as redirects are refused, to no other. */
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  /** As the URL guard's. */
  readonly allowedPrivate: readonly string[];
  readonly signal?: AbortSignal;
}

const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Posts JSON to an endpoint that a tenant has configured, and reads JSON: bounded in time and size, no redirects, no
 * retries. What comes back is unknown and unchecked.
 *
 * @throws EndpointError; OpsError `InvalidInput` when the URL is refused
 */
export async function postGuarded(call: GuardedCall): Promise<unknown> {
  const { body, token, ...rest } = call;
  const { status, text } = await sendGuarded({
    ...rest,
    text: JSON.stringify(body),
    headers: {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  if (status !== 200) throw new EndpointError(`it answers ${status}`, RETRIED.has(status));
  return parse(text);
}

export interface GuardedPost extends Omit<GuardedCall, 'body' | 'token'> {
  /** JSON. */
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The same, whatever it answers. @throws EndpointError; OpsError `InvalidInput` when the URL is refused */
export async function sendGuarded(
  call: GuardedPost,
): Promise<{ readonly status: number; readonly text: string }> {
  const url = checkUrl(call.url, call);
  // Here, as few commands call an endpoint: a command's start should not pay for it.
  const { Agent, request } = await import('undici');
  const agent = new Agent({ connect: { lookup: guardedLookup(url, call.allowedPrivate) } });
  const late = AbortSignal.timeout(call.timeoutMs);
  try {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      dispatcher: agent,
      signal: call.signal ? AbortSignal.any([call.signal, late]) : late,
      headers: { 'content-type': 'application/json', ...call.headers },
      body: call.text,
    });
    const text = await readBounded(body, call.maxAnswerBytes);
    if (text === undefined) throw new EndpointError(`its answer is over ${call.maxAnswerBytes} bytes`, false);
    return { status: statusCode, text };
  } catch (error) {
    call.signal?.throwIfAborted();
    if (error instanceof EndpointError) throw error;
    if (late.aborted) throw new EndpointError(`no answer within ${call.timeoutMs} ms`, true);
    if (error instanceof RefusedAddress) throw new EndpointError(error.message, false);
    // Not the error's message, which may show headers.
    const { code } = error as NodeJS.ErrnoException;
    throw new EndpointError(`it cannot be reached (${code ?? 'connection failed'})`, true);
  } finally {
    await agent.destroy();
  }
}

class RefusedAddress extends Error {}

type Callback = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** A name that the guard lets through may resolve to an address that it would not. */
function guardedLookup(url: URL, allowedPrivate: readonly string[]) {
  // A private name is there because an operator allowed it, with whatever it stands for.
  const allowedByName = !(readUrl(url.href, { allowedPrivate: [] }) instanceof URL);
  const refuse = (address: string): boolean => {
    const kind = classifyAddress(address);
    if (kind === 'public') return false;
    if (kind !== 'loopback' && kind !== 'private' && kind !== 'shared') return true;
    const host = isIPv6(address) ? `[${address}]` : address;
    const port = url.port === '' ? '' : `:${url.port}`;
    return (
      !allowedByName && !(readUrl(`${url.protocol}//${host}${port}/`, { allowedPrivate }) instanceof URL)
    );
  };
  return (hostname: string, options: LookupOptions, done: Callback): void => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, []);
      if (addresses.some(({ address }) => refuse(address)))
        return done(new RefusedAddress('its name leads to an address that is refused'), []);
      const [first] = addresses;
      if (options.all) done(null, addresses);
      else done(null, first!.address, first!.family);
    });
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EndpointError('its answer is not JSON', false);
  }
}
