import { OpsError } from '../domain/errors.js';
import { ModelEndpoint } from './endpoint.js';
import { encodePng } from './png.js';
import type { Encoder, EncoderSettings, RgbFrame } from './port.js';
import { type Input, type Protocol, protocolOf, readAnswer } from './protocol.js';
import { checkReference } from './secret.js';

/**
 * A served multi-vector model (ColPali, ColQwen and their like) behind OpenAI's or vLLM's protocol. Pictures go as PNG.
 * The rows of a segment with several pictures are averaged picture by picture, as the original does.
 */
export class HttpEncoder implements Encoder {
  readonly id: string;
  readonly frameSize = 448;
  private readonly protocol: Protocol;
  private readonly endpoint: ModelEndpoint;

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
    const { url } = this.protocol;
    const { tokenRef } = settings;
    this.endpoint = new ModelEndpoint({ url, tokenRef, timeoutMs, what: 'the encoder', setting: 'ENCODER' });
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
    return this.endpoint.close();
  }

  private async ask(
    inputs: readonly Input[],
    dimensions: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[][]> {
    const body = JSON.stringify(this.protocol.body(this.settings.model, inputs));
    return readAnswer(await this.endpoint.post(body, signal), inputs.length, dimensions);
  }
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
