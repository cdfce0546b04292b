import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, inject } from 'vitest';
import type {
  BackupTenantResult,
  DrillRestoreResult,
  RestoreTenantResult,
} from '../../src/contracts/backupOperations.js';
import { Connections } from '../../src/client/connections.js';
import { CvopsClient } from '../../src/client/index.js';
import { parseBackupId } from '../../src/domain/backups.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { workflowIds } from '../../src/domain/naming.js';
import { getBackup } from '../../src/registry/backups.js';
import { backupTimes } from '../../src/registry/backupTimes.js';
import { BackupWorld, type Everything, FRAMES, PROFILES, backUp } from '../support/backups.js';
import { NO_LIMIT, cvopsJson, cvopsWith, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { newIncarnation, newOperation } from '../support/registry.js';
import { idOf } from '../support/traces.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';
import { credentialOf, tokenOf } from '../support/principals.js';

const [id, clone, canary] = [freshTenant('origin'), freshTenant('clone'), freshTenant('canary')];
let world: BackupWorld;
let clips: string;
let backup: BackupTenantResult;
let [origin, bystander]: [Everything?, Everything?] = [];

const ingest = (tenant: string) =>
  cvopsJson<{ videos: object }>(['ingest', tenant, clips, '--profile', FRAMES]);

beforeAll(async () => {
  world = new BackupWorld();
  clips = await temporaryFolder();
  await makeVideo(path.join(clips, 'meadow.mp4'), { seconds: 3, colours: ['green'] });
  await Promise.all(
    [id, canary].map((tenant) => cvopsJson(['tenant', 'create', tenant, ...PROFILES, ...NO_LIMIT])),
  );
  await ingest(id);
  for (const tenant of [id, canary]) await world.fillOddly(tenant, { traces: 8 });
  await cvopsJson(['config', 'set', id, '--set', 'cache_ttl=61']);
  [origin, bystander] = [await world.everythingOf(id), await world.everythingOf(canary)];
  backup = await backUp(id);
});
afterAll(() => world?.close());

async function provenAt(id: string) {
  const [times] = await backupTimes(world.pool, (await world.tenant(id)).incarnation);
  return times!.provenAt;
}

/** The documents of one life as they are in another. */
async function renamed(documents: Everything['documents'], from: string, to: string) {
  const before = (
    await world.pool.query<{ incarnation: string }>(
      'select incarnation from tenants where tenant = $1 order by created_at limit 1',
      [from],
    )
  ).rows[0]!.incarnation;
  const { incarnation } = await world.tenant(to);
  return Object.fromEntries(
    Object.entries(documents).map(([base, lines]) => [
      base,
      lines
        .map((line) =>
          line
            .replace(`_${from}::`, `_${to}::`)
            // A text that holds such words has its quotes escaped.
            .replace(`"tenant_id":"${from}"`, `"tenant_id":"${to}"`)
            .replace(`"incarnation":"${before}"`, `"incarnation":"${incarnation}"`),
        )
        .toSorted(),
    ]),
  );
}

describe('a restore into another tenant', () => {
  let restored: RestoreTenantResult;
  beforeAll(async () => {
    restored = await cvopsJson<RestoreTenantResult>([
      ...['backup', 'restore', backup.backup, '--into', clone],
    ]);
  });

  test('makes it with the same documents, configuration and videos, under its own name', async () => {
    expect(restored).toMatchObject({
      tenant: clone,
      from: id,
      how: 'create',
      renames: true,
      state: 'active',
    });
    const made = await world.everythingOf(clone);
    expect(made.documents).toEqual(await renamed(origin!.documents, id, clone));
    expect(made.videos).toEqual(origin!.videos);
    expect(JSON.stringify(made.config)).toBe(
      JSON.stringify(origin!.config).replaceAll(`"${id}_project"`, `"${clone}_project"`),
    );
    expect((await ingest(clone)).videos).toEqual({ stored: 0, unchanged: 1, failed: 0 });
  });

  test('gives its traces ids, sessions and names of their own', async () => {
    const { traces } = await world.everythingOf(clone);
    for (const kind of ['spans', 'annotations', 'notes'] as const)
      expect(traces![kind].length).toBe(origin!.traces![kind].length);
    const text = Object.values(traces!).flat().join('\n');
    for (let at = 0; at < 8; at++) expect(text).not.toContain(idOf('trace', `${id}/${at}`));
    expect(text).not.toContain(`"${id}:`);
    expect(text).not.toContain((await world.tenant(id)).incarnation);
    expect(text).toContain(`"${clone}:`);
  });

  test('leaves the original and everybody else as they were', async () => {
    expect(await world.everythingOf(id)).toEqual(origin);
    expect(await world.everythingOf(canary)).toEqual(bystander);
  });
});

// Most of a deletion is waiting for what it has to see again later.
describe.concurrent('with a deletion in it', () => {
  test('a tenant that was deleted for good comes back, is found again, and ingests nothing twice', async ({
    expect,
  }) => {
    const copy = await world.everythingOf(clone);
    await cvopsJson(['tenant', 'delete', id, '--hard', '--confirm', id, '--second-look', '1']);
    const gone = await world.tenant(id);
    expect(gone.state).toBe('purged');
    const restored = await cvopsJson<RestoreTenantResult>(['backup', 'restore', backup.backup]);
    expect(restored).toMatchObject({ tenant: id, how: 'create', state: 'active', spans: 32 });
    expect(restored.incarnation).not.toBe(gone.incarnation);
    const back = await world.everythingOf(id);
    expect(back.documents).toEqual(await renamed(origin!.documents, id, id));
    expect([back.config, back.videos]).toEqual([origin!.config, origin!.videos]);
    expect(back.traces).toEqual(origin!.traces);
    const { hits } = await cvopsJson<{ hits: { tenant: string; video: string }[] }>([
      ...['search', id, 'meadow', '--profile', FRAMES, '--ranking', 'bm25_only', '--top-k', '1'],
    ]);
    expect(hits).toEqual([expect.objectContaining({ tenant: id, video: 'meadow' })]);
    expect((await ingest(id)).videos).toEqual({ stored: 0, unchanged: 1, failed: 0 });
    expect(await world.everythingOf(clone)).toEqual(copy);
  });

  test('a drill proves a backup by a tenant that is gone afterwards', async ({ expect }) => {
    const { backup: newest, documents, memories } = await backUp(canary);
    expect(await provenAt(canary)).toBeNull();
    const drill = await cvopsJson<DrillRestoreResult>(['backup', 'drill', canary]);
    expect(drill).toMatchObject({ backup: newest, documents, memories, spans: 32 });
    expect(memories).toBe(12);
    expect(await world.tenant(drill.into)).toMatchObject({ state: 'purged' });
    const { rows } = await world.pool.query(
      'select 1 from tenant_schemas s join tenants t using (incarnation) where t.tenant = $1',
      [drill.into],
    );
    expect(rows).toEqual([]);
    expect(await provenAt(canary)).toEqual(expect.any(String));
  });
});

test('what nobody asked for is as it was', async () => {
  expect(await world.everythingOf(canary)).toEqual(bystander);
});

describe('a principal of another tenant', () => {
  const bearer = () => ({ role: 'operator', tenant: parseTenantId(canary) }) as const;
  const env = async () => ({ CVOPS_TOKEN: await tokenOf(inject('stack').home, bearer()) });
  const operations = async () => (await world.pool.query('select operation from operations')).rowCount;

  test('is denied every operation on it, and nothing is begun', async () => {
    const stranger = await CvopsClient.connect({
      ...stackSettings(),
      ...(await credentialOf(inject('stack').home, bearer())),
    });
    const before = await operations();
    const [tenant, own, of] = [parseTenantId(id), parseTenantId(canary), parseBackupId(backup.backup)];
    const how = { replace: true, preview: false, overrideQuarantine: false, reason: '' };
    const asked: Readonly<Record<string, () => Promise<unknown>>> = {
      create: () => stranger.backups.create({ tenant, consistency: 'fuzzy', reason: '' }),
      verify: () => stranger.backups.verify({ backup: of, reason: '' }),
      restore: () => stranger.backups.restore({ backup: of, ...how }),
      preview: () => stranger.backups.restore({ backup: of, ...how, preview: true }),
      'restore into its own': () => stranger.backups.restore({ backup: of, into: own, ...how }),
      drill: () => stranger.backups.drill({ tenant, reason: '' }),
      'whose it is': () => stranger.backups.tenantOf(of),
    };
    for (const [verb, refused] of Object.entries(asked))
      await expect(refused(), verb).rejects.toMatchObject({ type: 'PermissionDenied', exitCode: 4 });
    // One that is not there is answered as another's is.
    const none = parseBackupId('20200101T000000Z-00000000');
    const refusal = await stranger.backups.tenantOf(of).catch((error: unknown) => error);
    for (const unknown of [
      () => stranger.backups.verify({ backup: none, reason: '' }),
      () => stranger.backups.restore({ backup: none, ...how }),
      () => stranger.backups.drill({ tenant: own, backup: none, reason: '' }),
      () => stranger.backups.drill({ tenant: own, backup: of, reason: '' }),
      () => stranger.backups.tenantOf(none),
    ])
      await expect(unknown()).rejects.toEqual(refusal);
    await stranger.close();
    const result = await cvopsWith(
      await env(),
      'backup',
      'restore',
      backup.backup,
      '--replace',
      '-o',
      'json',
    );
    expect([result.code, errorOf(result).code]).toEqual([4, 'PermissionDenied']);
    expect(result.stderr).not.toContain(id);
    expect(await operations()).toBe(before);
  });

  test('is denied it by the workers too, whatever its client let pass', async () => {
    const before = await world.everythingOf(canary);
    const client = await Connections.open(stackSettings());
    const operation = newOperation();
    const input = {
      ...{ tenant: canary, operation, incarnation: newIncarnation(), backup: backup.backup },
      ...{ replace: true, preview: false, cluster: client.settings.vespaCluster },
      ...{ principal: 'tests', principalTenant: canary, reason: '' },
    };
    const handle = await client.start(
      {
        kind: 'restoreTenant',
        workflowId: workflowIds.restore(parseTenantId(canary)),
        ...{ tenant: parseTenantId(canary), operation, reason: '', summary: 'of a stranger', priority: 3 },
      },
      input,
    );
    await expect(handle.result()).rejects.toMatchObject({ type: 'PermissionDenied' });
    await client.close();
    expect(await world.everythingOf(canary)).toEqual(before);
  });

  test('may do all of it with its own, and put none of it into another', async () => {
    const own = await cvopsJson<BackupTenantResult>(
      ['backup', 'create', canary, '--consistency', 'fuzzy'],
      0,
      await env(),
    );
    expect(await cvopsJson(['backup', 'verify', own.backup], 0, await env())).toMatchObject({ ok: true });
    const row = await getBackup(world.pool, parseBackupId(own.backup));
    expect(row).toMatchObject({ tenant: canary, memories: 12, consistency: 'fuzzy', sound: true });
    expect((await cvopsWith(await env(), 'backup', 'restore', own.backup, '--into', clone)).code).toBe(4);
    expect((await cvopsWith(await env(), 'backup', 'restore', own.backup, '--preview')).code).toBe(0);
  });
});
