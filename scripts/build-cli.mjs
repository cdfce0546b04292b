// The command in few files: finding and reading a thousand modules is half of what a short command takes.
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const bundle = await rolldown({
  platform: 'node',
  // What the command finds beside itself comes along: a thread's code, and that of a process of its own.
  input: {
    main: `${dist}src/cli/main.js`,
    worker: `${dist}src/encoders/pixels/worker.js`,
    textWorker: `${dist}src/memory/embedders/textWorker.js`,
    downloadTemporal: `${dist}src/embedded/downloadTemporal.js`,
  },
  // Natives, what is optional, and what memory loads when it first needs it: much code, and a model beside its own.
  external: ['@temporalio/testing', 'pg-native', 'mem0ai/oss', /^@energetic-ai\//],
});
await bundle.write({ dir: `${dist}cli`, format: 'esm', cleanDir: true });
await bundle.close();
