import { setTimeout as delay } from 'node:timers/promises';
import { typedFailures } from '../../activities/failures.js';
import { createVideoActivities } from '../../activities/ingest.js';
import { NO_TRACING } from '../../src/telemetry/noTracing.js';
import type { Encoder } from '../../src/encoders/port.js';
import type { VideoTools } from '../../src/ingest/prepare.js';
import { TenantRates } from '../../src/limits/rate.js';
import { hashFile } from '../../src/video/probe.js';
import { reportFailure, runWorker } from '../../workers/run.js';
import { STAND_IN_DOCUMENTS } from './shared.js';

const SIDE = 8;
const PATCHES = 4;

/** How long a video takes beside feeding, in milliseconds: a wait, no processor. */
const serviceMs = Number(process.env['BENCH_SERVICE_MS'] ?? 0);

/** Any file is a video of two frames. */
const tools: VideoTools = {
  async probe(file, options = {}) {
    return {
      durationSeconds: STAND_IN_DOCUMENTS,
      width: SIDE,
      height: SIDE,
      fps: 1,
      codec: 'none',
      hasAudio: false,
      sizeBytes: 1,
      sha256: await hashFile(file, options.signal),
      streamIndex: 0,
    };
  },
  async *segments(_file, _probed, _segmentation, { signal } = {}) {
    if (serviceMs > 0) await delay(serviceMs, undefined, signal ? { signal } : {});
    const frame = { width: SIDE, height: SIDE, data: new Uint8Array(SIDE * SIDE * 3) };
    for (let index = 0; index < STAND_IN_DOCUMENTS; index++)
      yield { index, start: index, end: index + 1, frames: [frame] };
  },
};

const encoder: Encoder = {
  id: 'bench-stand-in@1',
  frameSize: SIDE,
  encodeFrames: async (_segment, { dimensions }) =>
    Array.from({ length: PATCHES }, (_, row) => new Float32Array(dimensions).fill(row + 1)),
  encodeText: async (_text, { dimensions }) => [new Float32Array(dimensions).fill(1)],
  close: async () => undefined,
};

/** The real data worker, with its real slots and pollers; only ffmpeg and the encoding are replaced. */
runWorker('data', ({ pool, documents, sources, reach }) => {
  const rates = new TenantRates(pool);
  return typedFailures({
    ...createVideoActivities({
      ...{ pool, documents, sources, reach, rates, encoder, tools },
      tracing: NO_TRACING,
    }),
  });
}).catch(reportFailure);
