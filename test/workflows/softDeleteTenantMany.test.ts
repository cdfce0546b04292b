import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { TASK_QUEUES, workflowIds } from '../../src/domain/naming.js';
import { DAY_MS } from '../../src/domain/retention.js';
import { softDeleteTenant } from '../../workflows/softDeleteTenant.js';
import { quickPurgeBundle } from '../support/bundles.js';
import { RetentionWorld } from '../support/retentionWorld.js';
import { TimeSkipping } from '../support/timeSkipping.js';

const TENANTS = Number(process.env['EXPIRING'] ?? 1000);
const MINUTE_MS = 60_000;
/** A thousand are half a minute of work on two idle cores, and never the clock: the cores are not ours alone. */
const DEADLINE_MS = 300_000;
/**
 * They end in so many bursts, spread over the minute: while a task is open the server's clock is a real one, so ends
 * spread evenly would take that minute of real time too. A burst is also the harder case.
 */
const BURSTS = 20;

let bench: TimeSkipping;
beforeAll(async () => {
  bench = await TimeSkipping.start();
});
afterAll(() => bench?.stop());

test(
  `${TENANTS} tenants that expire in the same minute are all purged, none early, all within 5 minutes`,
  { timeout: DEADLINE_MS + 10_000 },
  async () => {
    const world = new RetentionWorld();
    const first = (await bench.now()) + DAY_MS / 2;
    const rows = Array.from({ length: TENANTS }, (_, i) =>
      world.add(parseTenantId(`tenant${i}`), 'inactive', first + ((i % BURSTS) * MINUTE_MS) / BURSTS),
    );
    const ends = new Map(rows.map(({ tenant, purgeAt }) => [tenant as string, purgeAt!]));
    const wait = async (): Promise<void> => {
      await Promise.all(
        rows.map(({ tenant, incarnation }) =>
          bench.client.workflow.start(softDeleteTenant, {
            workflowId: workflowIds.retention(tenant),
            taskQueue: TASK_QUEUES.control,
            args: [{ version: 1, tenant, incarnation, cluster: 'test' }],
          }),
        ),
      );
      await bench.sleepUntil(first - MINUTE_MS);
      expect(world.did('beginPurge')).toEqual([]);
      await bench.sleepUntil(first + 10 * MINUTE_MS);
      await expect.poll(() => rows.filter(({ state }) => state !== 'purged').length).toBe(0);
    };
    await bench.withWorker(world.activities(), wait, {
      workflowBundle: await quickPurgeBundle(),
      deadlineMs: DEADLINE_MS,
    });

    const begun = world.did('beginPurge').map(({ tenant, at }) => at - ends.get(tenant)!);
    expect(begun).toHaveLength(TENANTS);
    expect(Math.min(...begun)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...begun)).toBeLessThan(5 * MINUTE_MS);
    const proven = world.did('issueCertificate').map(({ tenant, at }) => at - ends.get(tenant)!);
    expect(new Set(world.did('issueCertificate').map(({ tenant }) => tenant)).size).toBe(TENANTS);
    expect(Math.max(...proven)).toBeLessThan(5 * MINUTE_MS);
  },
);
