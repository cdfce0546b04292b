import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { OpsError } from '../domain/errors.js';
import { redactForeign } from '../domain/redaction.js';
import { readBounded } from '../readBounded.js';
import { resolveSecret } from './secret.js';

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const RETRIED = new Set([408, 429, 500, 502, 503, 504]);

/** Worth another try later: the server was overloaded, failing or out of reach for the whole of the bounded retries. */
export class EncoderUnavailable extends Error {
  override readonly name = 'EncoderUnavailable';
}

export interface EndpointSettings {
  readonly url: string;
  /** Reference to the bearer token (`env:NAME`, `file:PATH`), read anew at each call; empty: none. */
  readonly tokenRef: string;
  /** For one request, answer included. */
  readonly timeoutMs: number;
  /** As errors name it: `the encoder`. */
  readonly what: string;
  /** What the names of its settings begin with: `ENCODER`. */
  readonly setting: string;
}

/** A served model that is asked by JSON over HTTP: bounded retries, no redirects, no secret in any message. */
export class ModelEndpoint {
  private readonly agent: Agent;

  constructor(private readonly settings: EndpointSettings) {
    const { timeoutMs } = settings;
    this.agent = new Agent({ headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
  }

  /**
   * @param body JSON
   * @returns the JSON of the answer
   * @throws EncoderUnavailable; OpsError `Rejected`; OpsError `InvalidInput` for the token; the signal's reason
   */
  async post(body: string, signal?: AbortSignal): Promise<unknown> {
    const { what } = this.settings;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.send(body, signal);
      if ('answer' in outcome) return outcome.answer;
      if (attempt === ATTEMPTS) throw new EncoderUnavailable(`${what} ${outcome.why} (${ATTEMPTS} attempts)`);
      const pause = outcome.pauseMs ?? FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
      await sleep(Math.min(pause, LONGEST_PAUSE_MS), undefined, signal ? { signal } : {}).catch(
        (error: unknown) => {
          signal?.throwIfAborted();
          throw error;
        },
      );
    }
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  /** @returns the answer, or why another attempt may do */
  private async send(
    body: string,
    signal: AbortSignal | undefined,
  ): Promise<{ answer: unknown } | { why: string; pauseMs?: number | undefined }> {
    signal?.throwIfAborted();
    const token = await resolveSecret(this.settings.tokenRef, process.env, `${this.settings.what} token`);
    const late = AbortSignal.timeout(this.settings.timeoutMs);
    try {
      const response = await request(this.settings.url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        signal: signal ? AbortSignal.any([signal, late]) : late,
        dispatcher: this.agent,
      });
      const text = await readBounded(response.body, MAX_ANSWER_BYTES);
      if (text === undefined) throw new OpsError('Rejected', `${this.settings.what} answers without end`);
      const { statusCode: status } = response;
      if (status === 200) return { answer: parse(text, this.settings.what) };
      if (RETRIED.has(status)) {
        return { why: `answers ${status}`, pauseMs: retryAfter(response.headers['retry-after']) };
      }
      throw refused(status, text, this.settings);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof OpsError) throw error;
      if (late.aborted) return { why: `did not answer within ${this.settings.timeoutMs} ms` };
      // Not the error's message, which may show headers.
      return { why: `cannot be reached (${(error as NodeJS.ErrnoException).code ?? 'connection failed'})` };
    }
  }
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new OpsError('Rejected', `${what}'s answer cannot be used: it is not JSON`);
  }
}

/** @returns milliseconds; undefined for what is absent or a date, which a server's clock may not share with ours */
function retryAfter(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

function refused(status: number, text: string, { what, setting }: EndpointSettings): OpsError {
  if (status >= 300 && status < 400) {
    return new OpsError('Rejected', `${what} redirects (${status})`, 'give its own address');
  }
  if (status === 401 || status === 403) {
    return new OpsError('Rejected', `${what} refuses the token (${status})`, `check ${setting}_TOKEN_REF`);
  }
  // Some servers repeat what they were sent.
  const said = redactForeign(text).replace(/\s+/g, ' ').trim().slice(0, 300);
  const hint = status === 404 ? `check ${setting}_URL and ${setting}_MODEL` : undefined;
  return new OpsError('Rejected', `${what} answers ${status}${said === '' ? '' : `: ${said}`}`, hint);
}
