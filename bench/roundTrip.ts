import { parseArgs } from 'node:util';
import { exportTraces } from '../src/backup/traces/export.js';
import { TRACE_KINDS } from '../src/backup/traces/lines.js';
import { parseBackupId } from '../src/domain/backups.js';
import { parseTenantId } from '../src/domain/ids.js';
import { CONTENT_NAMESPACE, MEMORY_NAMESPACE } from '../src/domain/naming.js';
import { PhoenixClient } from '../src/phoenix/client.js';
import {
  type FilledTenant,
  differingBytes,
  fillDocuments,
  filledTenant,
  segmentId,
  sortedLines,
} from '../test/support/tenantData.js';
import { fillTraces, restorable } from '../test/support/traces.js';
import { PROFILE } from './ingest/shared.js';
import { type World, inWorld } from './ingest/world.js';
import { print, round } from './row.js';

const SPANS_OF_TRACE = 4;

/** `bench -- round-trip [--documents 20000] [--spans 2000] [--memories 1000] [--port-offset 21000]` */
export async function roundTrip(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      documents: { type: 'string', default: '20000' },
      spans: { type: 'string', default: '2000' },
      memories: { type: 'string', default: '1000' },
      'port-offset': { type: 'string', default: '21000' },
    },
  });
  const [segments, memories] = [Number(values.documents), Number(values.memories)];
  const traces = Number(values.spans) / SPANS_OF_TRACE;
  await inWorld('round-trip', Number(values['port-offset']), async (world, _, note) => {
    const phoenix = new PhoenixClient(world.settings.phoenixUrl);
    const worker = await world.run('bench/backup/killedWorker.js');
    try {
      const tenant = await makeTenant(world);
      await fillDocuments(world.documents, tenant, { segments, memories });
      await fillTraces(phoenix, tenant.row.phoenixProject, { ...tenant.row, seed: 'round-trip', traces });
      note('filled');
      await measure(world, phoenix, tenant);
    } finally {
      await worker.stop();
    }
  });
}

async function makeTenant({ client, pool }: World): Promise<FilledTenant> {
  const tenant = parseTenantId('round_trip');
  const request = { tenant, template: 'startup', overrides: {}, profiles: [PROFILE], reason: 'bench' };
  await (await client.createTenant(request)).result();
  return filledTenant(pool, tenant);
}

async function measure(world: World, phoenix: PhoenixClient, tenant: FilledTenant): Promise<void> {
  const { backups } = world.client;
  const { tenant: id } = tenant.row;
  const before = await holdings(world, phoenix, tenant);
  const [backup, backupSeconds] = await timed(async () =>
    (await backups.create({ tenant: id, consistency: 'settled', reason: 'bench' })).result(),
  );
  await spoil(world, tenant);
  const spoiled = await holdings(world, phoenix, tenant);
  const [restored, restoreSeconds] = await timed(async () =>
    (
      await backups.restore({
        ...{ backup: parseBackupId(backup.backup), replace: true, preview: false, overrideQuarantine: false },
        reason: 'bench',
      })
    ).result(),
  );
  const after = await holdings(world, phoenix, tenant);
  const differing = (a: Holdings, b: Holdings) => ({
    documents: differingBytes(a.documents, b.documents),
    memories: differingBytes(a.memories, b.memories),
    traces: differingBytes(a.traces, b.traces),
  });
  print({
    bench: 'round-trip',
    row: `${before.documents.length} documents, ${before.memories.length} memories, ${backup.spans} spans`,
    unit: 'differing bytes',
    ours: Object.values(differing(before, after)).reduce((sum, n) => sum + n),
    differing: differing(before, after),
    // That the comparison would see it.
    differingBeforeRestore: differing(before, spoiled),
    counts: {
      documents: after.documents.length,
      memories: after.memories.length,
      spansAnnotationsNotes: after.counts,
    },
    state: restored.state,
    consistency: backup.consistency,
    storedBytes: backup.bytes,
    backupSeconds,
    restoreSeconds,
  });
}

interface Holdings {
  readonly documents: readonly Buffer[];
  readonly memories: readonly Buffer[];
  /** Without what Phoenix gives anew (docs/backup-traces.md). */
  readonly traces: readonly Buffer[];
  /** Of each kind. */
  readonly counts: readonly number[];
}

async function holdings(
  { documents }: World,
  phoenix: PhoenixClient,
  { row, videos, memories }: FilledTenant,
): Promise<Holdings> {
  const call = { signal: new AbortController().signal, heartbeat: () => undefined };
  const exported = (await exportTraces(phoenix, row.phoenixProject, call))!;
  const [lines, counts]: [string[], number[]] = [[], []];
  for (const kind of TRACE_KINDS) {
    const ofKind: Buffer[] = [];
    for await (const line of exported.lines(kind)) ofKind.push(line);
    lines.push(...restorable(ofKind));
    counts.push(ofKind.length);
  }
  return {
    documents: await sortedLines(documents, videos),
    memories: await sortedLines(documents, memories),
    traces: lines.map((line) => Buffer.from(line)),
    counts,
  };
}

/** Changes, removes and adds, in both schemas. */
async function spoil({ documents }: World, { videos, memories }: FilledTenant): Promise<void> {
  const changed = Buffer.from('{"fields":{"tenant_id":"somebody"}}');
  for (const [namespace, schema, ids] of [
    [CONTENT_NAMESPACE, videos, [segmentId(1), segmentId(2), 'added']],
    [MEMORY_NAMESPACE, memories, ['m1', 'm2', 'added']],
  ] as const) {
    const [change, remove, add] = ids;
    await documents.put({ namespace, schema, id: change }, changed);
    await documents.remove({ namespace, schema, id: remove });
    await documents.put({ namespace, schema, id: add }, changed);
  }
}

async function timed<T>(run: () => Promise<T>): Promise<readonly [T, number]> {
  const start = performance.now();
  const result = await run();
  return [result, round((performance.now() - start) / 1000, 1)];
}
