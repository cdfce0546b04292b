import { afterAll, beforeAll, expect, test } from 'vitest';
import { addItems, finishItem, getItems } from '../../src/registry/ledger.js';
import { finishOperation } from '../../src/registry/operations.js';
import { setTenantState } from '../../src/registry/tenants.js';
import { mayGoOn, setPaused } from '../../src/registry/turns.js';
import {
  type TestRegistry,
  makeIngest,
  makeTenant,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

test('a turn goes on until its run is paused, another ingest runs, or its tenant is closed for good', async () => {
  const { pool } = registry;
  const tenant = await makeTenant(pool);
  const ingest = await makeIngest(pool, tenant);
  expect(await mayGoOn(pool, ingest)).toBe(true);

  await setPaused(pool, ingest, true);
  expect(await mayGoOn(pool, ingest)).toBe(false);
  await setPaused(pool, ingest, false);
  expect(await mayGoOn(pool, ingest)).toBe(true);

  const other = await makeIngest(pool, await makeTenant(pool));
  expect([await mayGoOn(pool, ingest), await mayGoOn(pool, other)]).toEqual([false, false]);
  await finishOperation(pool, other, { state: 'completed' });
  expect(await mayGoOn(pool, ingest)).toBe(true);

  await setTenantState(pool, tenant.incarnation, ['active'], 'inactive', new Date(Date.now() + 86_400_000));
  expect(await mayGoOn(pool, ingest)).toBe(true);
  await setTenantState(pool, tenant.incarnation, ['inactive'], 'purging');
  expect(await mayGoOn(pool, ingest)).toBe(false);
  expect(await mayGoOn(pool, newOperation())).toBe(false);
});

test('items by their numbers: in order, each as it ended, and one that is missing is an error', async () => {
  const { pool } = registry;
  const ingest = await makeIngest(pool, await makeTenant(pool));
  await addItems(
    pool,
    ingest,
    ['a', 'b', 'c'].map((path) => ({ path, video: path })),
  );
  await finishItem(pool, ingest, 2, { state: 'stored', documents: 5 });
  expect((await getItems(pool, ingest, [3, 2])).map(({ item, state }) => [item, state])).toEqual([
    [2, 'stored'],
    [3, 'pending'],
  ]);
  await expect(getItems(pool, ingest, [1, 4])).rejects.toMatchObject({ type: 'NotFound' });
});
