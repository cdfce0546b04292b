import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import * as workflows from '../../workflows/index.js';
import { bundleOf } from '../support/bundles.js';

const folder = path.join(import.meta.dirname, 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const load = (name: string) => historyFromJSON(JSON.parse(readFileSync(path.join(folder, name), 'utf8')));

let workflowBundle: WorkflowBundle;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  // As they run: tracing and access must not change what a history says either.
  workflowBundle = await bundleOf('../../workflows/index.ts', [
    '../../workflows/tracing.ts',
    '../../workflows/access.ts',
  ]);
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
