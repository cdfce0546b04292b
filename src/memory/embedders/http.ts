import { OpsError } from '../../domain/errors.js';
import { EncoderUnavailable, ModelEndpoint } from '../../encoders/endpoint.js';
import { type Protocol, protocolOf, readAnswer } from '../../encoders/protocol.js';
import { checkReference } from '../../encoders/secret.js';
import { DIMENSIONS } from '../documents.js';
import type { Embedder } from './port.js';

const WHAT = 'the embedder';
const SETTING = 'MEMORY_EMBEDDER';
const BATCH = 64;
const TIMEOUT_MS = 60_000;

/** A served model behind OpenAI's embeddings protocol. */
export class HttpEmbedder implements Embedder {
  readonly id: string;
  private readonly protocol: Protocol;
  private readonly endpoint: ModelEndpoint;
  private readonly cut: { readonly dimensions?: number };

  /** @throws OpsError `InvalidInput` naming the setting that is wrong */
  constructor(
    private readonly settings: {
      readonly url: string;
      readonly model: string;
      readonly tokenRef: string;
      /** A number of at most 512 for models that can cut their vectors; empty: not asked for. */
      readonly dimensions: string;
    },
  ) {
    const { url, model, tokenRef, dimensions } = settings;
    if (!/^[\x21-\x7e]{1,200}$/.test(model))
      throw new OpsError('InvalidInput', `${WHAT} has an address and no model`, `set ${SETTING}_MODEL`);
    if (dimensions !== '' && !(/^[1-9]\d{0,2}$/.test(dimensions) && Number(dimensions) <= DIMENSIONS))
      throw new OpsError('InvalidInput', `${SETTING}_DIMENSIONS is a whole number from 1 to ${DIMENSIONS}`);
    checkReference(tokenRef, `${WHAT} token`);
    this.protocol = protocolOf(url, BATCH);
    this.cut = dimensions === '' ? {} : { dimensions: Number(dimensions) };
    this.endpoint = new ModelEndpoint({
      ...{ url: this.protocol.url, tokenRef, timeoutMs: TIMEOUT_MS, what: WHAT, setting: SETTING },
    });
    this.id = `http:${model}${dimensions === '' ? '' : `:${dimensions}`}`;
  }

  async embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const vectors: Float32Array[] = [];
    for (let at = 0; at < texts.length; at += this.protocol.batch)
      vectors.push(...(await this.ask(texts.slice(at, at + this.protocol.batch), signal)));
    return vectors;
  }

  close(): Promise<void> {
    return this.endpoint.close();
  }

  private async ask(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const inputs = texts.map((text) => ({ text }));
    const body = { ...(this.protocol.body(this.settings.model, inputs) as object), ...this.cut };
    let answer: unknown;
    try {
      answer = await this.endpoint.post(JSON.stringify(body), signal);
    } catch (error) {
      if (!(error instanceof EncoderUnavailable)) throw error;
      throw new OpsError('Unavailable', error.message, `check ${SETTING}_URL, then try again`);
    }
    return readAnswer(answer, texts.length, this.cut.dimensions, WHAT).map((rows) => {
      if (rows.length === 1) return rows[0]!;
      throw new OpsError('Rejected', `${WHAT} gives ${rows.length} vectors for one text`, 'use a text model');
    });
  }
}
