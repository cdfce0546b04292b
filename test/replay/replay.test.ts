import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import * as workflows from '../../workflows/index.js';

const folder = path.join(import.meta.dirname, 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const load = (name: string) => historyFromJSON(JSON.parse(readFileSync(path.join(folder, name), 'utf8')));

let workflowBundle: { code: string };
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const quiet = new DefaultLogger('ERROR');
  workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    // As they run: tracing must not change what a history says either.
    workflowInterceptorModules: [fileURLToPath(new URL('../../workflows/tracing.ts', import.meta.url))],
    logger: quiet,
  });
});

test('every workflow type has a stored history', () => {
  const types = files.map(
    (name) => load(name).events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name,
  );
  expect([...new Set(types)].toSorted()).toEqual(Object.keys(workflows).toSorted());
});

test.each(files)('%s replays: code that is changed while it runs must not break it', async (name) => {
  await Worker.runReplayHistory({ workflowBundle }, load(name));
});

test('a history that does not fit the code is found', async () => {
  const history = load('createTenant.json');
  const scheduled = history.events!.find(
    (e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'writeInitialConfig',
  )!;
  scheduled.activityTaskScheduledEventAttributes!.activityType!.name = 'somethingElse';
  await expect(Worker.runReplayHistory({ workflowBundle }, history)).rejects.toThrow(/[Nn]ondeterminism/);
});
