import { HttpEncoder } from './http.js';
import { PixelEncoder } from './pixels/encoder.js';
import type { Settings } from '../settings.js';
import type { RgbFrame } from '../video/segment.js';

export type { RgbFrame } from '../video/segment.js';

/** Turns pictures and text into multi-vectors of one space, so that MaxSim between them means something. */
export interface Encoder {
  /** Stored beside documents: vectors of different ids must not be compared. `embedded-pixels@1`, `http:<model>`. */
  readonly id: string;
  /** Side of the square pictures it wants. */
  readonly frameSize: number;
  /**
   * A segment's multi-vector: one row a patch, of `shape.dimensions` finite numbers. The embedded encoder gives
   * `grid * grid` rows, row by row from the top left; a served model gives as many as it has.
   *
   * @param segment at least one frame; several are one segment's pictures in the order of time
   */
  encodeFrames(
    segment: { readonly frames: readonly RgbFrame[] },
    shape: { readonly grid: number; readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]>;
  /** A query's multi-vector: one row a token, at least one, of `shape.dimensions` finite numbers. */
  encodeText(
    text: string,
    shape: { readonly dimensions: number },
    signal?: AbortSignal,
  ): Promise<Float32Array[]>;
  close(): Promise<void>;
}

export interface EncoderSettings {
  /** Address of a multi-vector endpoint; empty: the embedded encoder. */
  readonly url: string;
  /** Name of the served model. */
  readonly model: string;
  /** Reference to the endpoint's bearer token (`env:NAME`, `file:PATH`); empty: none. */
  readonly tokenRef: string;
  /** Pictures a request; 4 when not given. */
  readonly batchSize?: number;
  /** For one request, answer included; two minutes when not given. */
  readonly timeoutMs?: number;
}

/** The encoder of this process's settings. @throws as {@link createEncoder} */
export function encoderOf({
  encoderUrl: url,
  encoderModel: model,
  encoderToken: tokenRef,
}: Pick<Settings, 'encoderUrl' | 'encoderModel' | 'encoderToken'>): Encoder {
  return createEncoder({ url, model, tokenRef });
}

/**
 * The encoder that the settings name.
 *
 * @throws OpsError `InvalidInput` for a URL that is no plain http(s) address, a missing model, a malformed reference
 */
export function createEncoder(settings: EncoderSettings): Encoder {
  return settings.url === '' ? new PixelEncoder() : new HttpEncoder(settings);
}
