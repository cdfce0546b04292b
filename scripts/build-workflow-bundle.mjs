// One bundle, built once: workers load it, tests of the bundle fail when workflow code reaches Node.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const root = new URL('../dist/', import.meta.url);
const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('workflows/index.js', root)),
  workflowInterceptorModules: ['tracing', 'access'].map((name) =>
    fileURLToPath(new URL(`workflows/${name}.js`, root)),
  ),
  logger: quiet,
});
await writeFile(new URL('workflow-bundle.js', root), code);
