import type { Settings } from '../../settings.js';
import { HttpEmbedder } from './http.js';
import { LocalEmbedder } from './local.js';

/** Turns texts into vectors whose cosine means likeness. */
export interface Embedder {
  /** Stored beside each memory: vectors of different ids must not be compared. `use-lite@1`, `http:<model>`. */
  readonly id: string;
  /**
   * One vector a text, in order; at most 512 finite numbers each, as many in all.
   *
   * @throws OpsError `Unavailable` when another try may do, `Rejected` when not
   */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** The embedder of this process's settings. @throws OpsError `InvalidInput` naming the setting that is wrong */
export function embedderOf(
  settings: Pick<
    Settings,
    'memoryEmbedderUrl' | 'memoryEmbedderModel' | 'memoryEmbedderToken' | 'memoryEmbedderDimensions'
  >,
): Embedder {
  const { memoryEmbedderUrl: url, memoryEmbedderModel: model } = settings;
  if (url === '') return new LocalEmbedder();
  const { memoryEmbedderToken: tokenRef, memoryEmbedderDimensions: dimensions } = settings;
  return new HttpEmbedder({ url, model, tokenRef, dimensions });
}
