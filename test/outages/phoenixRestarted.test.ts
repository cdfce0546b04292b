import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { phoenixProjectName } from '../../src/domain/naming.js';
import { readRecords } from '../../src/embedded/records.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { deleteProject } from '../../src/phoenix/projects.js';
import { readSpans } from '../../src/phoenix/storedSpans.js';
import type { Telemetry } from '../../src/telemetry/telemetry.js';
import { destinationFor, madeSpan, telemetryTo } from '../support/telemetry.js';

/** Phoenix takes some 20 s to come up again, and a minute on a busy machine: too long for every run of the tests. */
const SPANS = Number(process.env['PHOENIX_SPANS'] ?? 1_200);
const targets = Array.from({ length: 3 }, () =>
  destinationFor(parseTenantId(`t${randomUUID().replaceAll('-', '')}`)),
);

let phoenix: PhoenixClient;
let telemetry: Telemetry;
beforeAll(() => {
  const { phoenixUrl } = inject('stack').addresses;
  phoenix = new PhoenixClient(phoenixUrl);
  telemetry = telemetryTo(phoenixUrl, targets, { times: { confirmMs: 500 }, maxSpans: 2 * SPANS });
});
afterAll(async () => {
  await telemetry?.close();
  for (const { tenant } of targets) await deleteProject(phoenix, phoenixProjectName(tenant));
});

/** The one that the stack runs now. */
const pidOfPhoenix = () => readRecords(inject('stack').home)['phoenix']!.identity.pid;

async function namesIn(project: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of readSpans(phoenix, project)) names.push(name);
  return names.toSorted();
}

test(`Phoenix killed with spans that it had accepted and not stored: all ${SPANS} are there in the end, each once`, async () => {
  const sent = new Map(targets.map(({ project }) => [project, [] as string[]]));
  const send = (n: number) => {
    const { tenant, project } = targets[n % targets.length]!;
    const name = `work ${String(n).padStart(6, '0')}`;
    sent.get(project)!.push(name);
    telemetry.record(tenant, madeSpan({ name }));
  };
  for (let n = 0; n < SPANS / 2; n++) send(n);
  // It stores some 200 a second.
  await expect.poll(() => telemetry.counts.accepted, { interval: 20 }).toBeGreaterThan(SPANS / 4);
  const killed = pidOfPhoenix();
  process.kill(killed, 'SIGKILL');
  // Work goes on while it is away.
  for (let n = SPANS / 2; n < SPANS; n++) {
    send(n);
    if (n % 20 === 0) await delay(10);
  }
  await expect.poll(() => telemetry.counts.held, { timeout: 240_000, interval: 200 }).toBe(0);

  expect(pidOfPhoenix()).not.toBe(killed);
  expect(telemetry.counts).toMatchObject({ stored: SPANS, dropped: 0, failed: 0, withheld: 0 });
  expect(telemetry.counts.resent).toBeGreaterThan(0);
  for (const { project } of targets) expect(await namesIn(project)).toEqual(sent.get(project));
  process.stderr.write(`phoenix restarted: ${JSON.stringify(telemetry.counts)}\n`);
});
