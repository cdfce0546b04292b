import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { BackupSummary } from '../../src/client/backupKeeping.js';
import { CvopsClient } from '../../src/client/index.js';
import type { Scheduled } from '../../src/domain/backupSchedules.js';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { scheduleIds } from '../../src/domain/naming.js';
import { getOperation } from '../../src/registry/operations.js';
import { BackupWorld, CHUNKS } from '../support/backups.js';
import { cvopsJson, freshTenant, stackSettings } from '../support/cvops.js';

const id = parseTenantId(freshTenant('scheduled'));
let world: BackupWorld;
let client: CvopsClient;
let temporal: Client;
beforeAll(async () => {
  const settings = stackSettings();
  world = new BackupWorld();
  client = await CvopsClient.connect(settings);
  temporal = new Client({ connection: await Connection.connect({ address: settings.temporalAddress }) });
  await cvopsJson(['tenant', 'create', id, '--profiles', CHUNKS]);
  await world.fillOddly(id, { traces: 2 });
  const schedule = ['backup', 'schedule', id, '--every', '30d', '--consistency', 'fuzzy'];
  await cvopsJson([...schedule, '--verify-every', '30d', '--drill-every', '30d']);
});
afterAll(async () => {
  await temporal?.connection.close();
  await client?.close();
  await world?.close();
});

/** Lets a schedule fire now, and waits for the end of the run. @returns the operation that it was, as the registry has it */
async function fire(what: Scheduled) {
  await temporal.schedule.getHandle(scheduleIds.scheduled(id, what)).trigger();
  const last = () =>
    client.backupSchedules.list(id).then((all) => all.find((each) => each.what === what)!.last);
  await expect
    .poll(last, { timeout: 120_000 })
    .toMatchObject({ state: 'completed', operation: expect.any(String) as string });
  return getOperation(world.pool, parseOperationId((await last())!.operation));
}

const listed = async () => (await cvopsJson<{ backups: BackupSummary[] }>(['backup', 'list', id])).backups;
const proven = async () =>
  (await cvopsJson<{ lastProvenRestore: string | null }>(['tenant', 'show', id])).lastProvenRestore;

/** What the control worker of the stack shows of the tenant, in seconds. */
async function gauges(): Promise<Record<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${inject('stack').ports['metrics-tenants']}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  const lines = (await answer.text()).matchAll(/^cvops_(\w+)_timestamp_seconds\{tenant="(\w+)"\} (\S+)$/gm);
  return Object.fromEntries(
    Array.from(lines)
      .filter(([, , tenant]) => tenant === id)
      .map(([, name, , value]) => [name!, Number(value)]),
  );
}

const seconds = (time: string | null) => Date.parse(time!) / 1000;

test('a schedule’s backup, its verification and its drill are done, and every place tells of them', async () => {
  expect(await gauges()).toEqual({ last_backup: 0, last_verified_backup: 0, last_proven_restore: 0 });
  const by = (what: Scheduled) => ({ state: 'completed', tenant: id, principal: `schedule:${what}` });

  expect(await fire('backup')).toMatchObject({ ...by('backup'), kind: 'backupTenant' });
  const [made, ...others] = await listed();
  expect([made, others]).toMatchObject([{ state: 'complete', consistency: 'fuzzy', verifiedAt: null }, []]);
  expect([made!.documents, made!.memories, made!.spans > 0]).toEqual([127, 12, true]);

  const verify = await fire('verify');
  expect(verify).toMatchObject({ ...by('verify'), kind: 'verifyBackup', counts: { documents: 139 } });
  const [verified] = await listed();
  expect(verified).toEqual({ ...made, verifiedAt: expect.any(String) as string, sound: true });
  expect(await proven()).toBeNull();
  expect(await gauges()).toEqual({
    last_backup: seconds(made!.startedAt),
    last_verified_backup: seconds(verified!.verifiedAt),
    last_proven_restore: 0,
  });

  const { documents, memories, spans } = made!;
  const drill = await fire('drill');
  expect(drill).toMatchObject({
    ...by('drill'),
    kind: 'drillRestore',
    counts: { documents, memories, spans },
  });
  const [shown] = await listed();
  expect(await proven()).toBe(shown!.provenAt);
  expect((await gauges())['last_proven_restore']).toBe(seconds(shown!.provenAt));
  expect(seconds(shown!.provenAt)).toBeGreaterThan(seconds(verified!.verifiedAt));
});
