// A process of its own, so that a download that hangs can be ended: the SDK's has no time limit.
import { mkdirSync } from 'node:fs';
import { TestWorkflowEnvironment } from '@temporalio/testing';

const downloadDir = process.argv[2];
if (downloadDir === undefined) throw new Error('usage: downloadTemporal.js FOLDER');
mkdirSync(downloadDir, { recursive: true });
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir } },
});
await environment.teardown();
