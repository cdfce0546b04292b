import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { OpsError } from '../domain/errors.js';
import { encodePng } from './png.js';
import type { Encoder, EncoderSettings, RgbFrame } from './port.js';
import { type Input, type Protocol, protocolOf, readAnswer } from './protocol.js';
import { checkReference, resolveSecret } from './secret.js';

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const RETRIED = new Set([408, 429, 500, 502, 503, 504]);

/** Worth another try later: the server was overloaded, failing or out of reach for the whole of the bounded retries. */
export class EncoderUnavailable extends Error {
  override readonly name = 'EncoderUnavailable';
}

/**
 * A served multi-vector model (ColPali, ColQwen and their like) behind OpenAI's or vLLM's protocol. Pictures go as PNG.
 * The rows of a segment with several pictures are averaged picture by picture, as the original does.
 */
export class HttpEncoder implements Encoder {
  readonly id: string;
  readonly frameSize = 448;
  private readonly protocol: Protocol;
  private readonly timeoutMs: number;
  private readonly agent: Agent;

  /** @throws OpsError `InvalidInput` naming the setting that is wrong */
  constructor(private readonly settings: EncoderSettings) {
    const { batchSize = 4, timeoutMs = 120_000 } = settings;
    if (!/^[\x21-\x7e]{1,200}$/.test(settings.model)) {
      throw new OpsError('InvalidInput', 'the encoder has an address and no model', 'set ENCODER_MODEL');
    }
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 256) {
      throw new OpsError('InvalidInput', 'the batch size of the encoder is a whole number from 1 to 256');
    }
    checkReference(settings.tokenRef);
    this.protocol = protocolOf(settings.url, batchSize);
    this.timeoutMs = timeoutMs;
    this.agent = new Agent({ headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
    this.id = `http:${settings.model}`;
  }

  async encodeFrames(
    segment: { readonly frames: readonly RgbFrame[] },
    shape: { readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    if (segment.frames.length === 0) throw new RangeError('a segment has at least one picture');
    const mean = new MeanRows();
    for (let at = 0; at < segment.frames.length; at += this.protocol.batch) {
      const frames = segment.frames.slice(at, at + this.protocol.batch);
      const inputs = await Promise.all(frames.map(async (frame) => ({ png: await encodePng(frame) })));
      for (const rows of await this.ask(inputs, shape.dimensions, signal)) mean.add(rows);
    }
    return mean.rows();
  }

  async encodeText(
    text: string,
    shape: { readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    return (await this.ask([{ text }], shape.dimensions, signal))[0]!;
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  private async ask(
    inputs: readonly Input[],
    dimensions: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[][]> {
    const body = JSON.stringify(this.protocol.body(this.settings.model, inputs));
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.send(body, signal);
      if ('answer' in outcome) return readAnswer(outcome.answer, inputs.length, dimensions);
      if (attempt === ATTEMPTS)
        throw new EncoderUnavailable(`the encoder ${outcome.why} (${ATTEMPTS} attempts)`);
      const pause = outcome.pauseMs ?? FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
      await sleep(Math.min(pause, LONGEST_PAUSE_MS), undefined, signal ? { signal } : {}).catch(
        (error: unknown) => {
          signal?.throwIfAborted();
          throw error;
        },
      );
    }
  }

  /** @returns the answer, or why another attempt may do */
  private async send(
    body: string,
    signal: AbortSignal | undefined,
  ): Promise<{ answer: unknown } | { why: string; pauseMs?: number | undefined }> {
    signal?.throwIfAborted();
    const token = await resolveSecret(this.settings.tokenRef);
    const late = AbortSignal.timeout(this.timeoutMs);
    try {
      const response = await request(this.protocol.url, {
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
      const text = await readText(response.body);
      const { statusCode: status } = response;
      if (status === 200) return { answer: parse(text) };
      if (RETRIED.has(status)) {
        return { why: `answers ${status}`, pauseMs: retryAfter(response.headers['retry-after']) };
      }
      throw refused(status, text);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof OpsError) throw error;
      if (late.aborted) return { why: `did not answer within ${this.timeoutMs} ms` };
      // Not the error's message, which may show headers.
      return { why: `cannot be reached (${(error as NodeJS.ErrnoException).code ?? 'connection failed'})` };
    }
  }
}

async function readText(body: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new OpsError('Rejected', 'the encoder answers without end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new OpsError('Rejected', "the encoder's answer cannot be used: it is not JSON");
  }
}

/** @returns milliseconds; undefined for what is absent or a date, which a server's clock may not share with ours */
function retryAfter(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

function refused(status: number, text: string): OpsError {
  if (status >= 300 && status < 400) {
    return new OpsError('Rejected', `the encoder redirects (${status})`, 'give its own address');
  }
  if (status === 401 || status === 403) {
    return new OpsError('Rejected', `the encoder refuses the token (${status})`, 'check ENCODER_TOKEN_REF');
  }
  const said = text.replace(/\s+/g, ' ').trim().slice(0, 300);
  const hint = status === 404 ? 'check ENCODER_URL and ENCODER_MODEL' : undefined;
  return new OpsError('Rejected', `the encoder answers ${status}${said === '' ? '' : `: ${said}`}`, hint);
}

/** The mean of several multi-vectors, row by row. */
class MeanRows {
  private sums: Float64Array[] | undefined;
  private count = 0;

  add(rows: readonly Float32Array[]): void {
    this.sums ??= rows.map((row) => new Float64Array(row.length));
    if (rows.length !== this.sums.length) {
      throw new OpsError('Rejected', 'the encoder gives pictures of one size different numbers of rows');
    }
    this.sums.forEach((sum, at) => rows[at]!.forEach((value, d) => (sum[d]! += value)));
    this.count++;
  }

  rows(): Float32Array[] {
    return (this.sums ?? []).map((sum) => Float32Array.from(sum, (value) => value / this.count));
  }
}
