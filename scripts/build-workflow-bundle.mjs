// Built once, for both ways to write failures: workers load it, tests of the bundle fail when workflow code reaches Node.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const root = new URL('../dist/', import.meta.url);
const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
const bundle = async (file, more) => {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('workflows/index.js', root)),
    workflowInterceptorModules: ['tracing', 'access'].map((name) =>
      fileURLToPath(new URL(`workflows/${name}.js`, root)),
    ),
    logger: quiet,
    ...more,
  });
  await writeFile(new URL(file, root), code);
};
await bundle('workflow-bundle.js');
// For workers with payload keys, in whose histories messages of failures are payloads too.
await bundle('workflow-bundle-encrypted.js', {
  failureConverterPath: fileURLToPath(new URL('src/payloads/failureConverter.js', root)),
});
