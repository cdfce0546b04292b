import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { PhoenixClient } from '../../src/phoenix/client.js';
import { listSpans } from '../../src/phoenix/storedSpans.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { verifyAudit } from '../../src/registry/audit.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { rankingsOf } from '../../src/vespa/search.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';
import { makeBadVideos, sampleVideos, temporaryFolder } from '../support/videos.js';

const PROFILE = 'video_colpali_smol500_mv_frame';

interface Created {
  readonly tenant: string;
  readonly incarnation: string;
  readonly state: string;
  readonly schemas: string[];
  readonly phoenixProject: string;
}
interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
  readonly failures: { video: string; reason: string }[];
}
interface Found {
  readonly tenant: string;
  readonly hits: { id: string; tenant: string; video: string; start: number; end: number; score: number }[];
  readonly latencyMs: number;
}

const [a, b] = [freshTenant('acme'), freshTenant('globex')];
let created: Created[];
let videos: string;
let pool: Pool;
let documents: DocumentClient;

beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  documents = new DocumentClient(settings.vespaUrl);
  videos = await sampleVideos();
  created = await Promise.all(
    [a, b].map((id) =>
      cvopsJson<Created>([
        'tenant',
        'create',
        id,
        '--profiles',
        `${PROFILE},video_colqwen_omni_mv_chunk_30s`,
      ]),
    ),
  );
});
afterAll(async () => {
  await documents?.close();
  await pool?.end();
});

describe('tenant create', () => {
  test('two at once: both active with all their schemas, in fewer deploys than schemas', async () => {
    for (const [i, id] of [a, b].entries()) {
      const bases = ['agent_memories', 'video_colpali_smol500_mv_frame', 'video_colqwen_omni_mv_chunk_30s'];
      expect(created[i]).toMatchObject({
        tenant: id,
        state: 'active',
        phoenixProject: `${id}_project`,
        schemas: bases.map((base) => `${base}_${id}`),
      });
    }
    const { rows } = await pool.query<{ generations: number; schemas: number }>(
      `select count(distinct generation) as generations, count(*) as schemas from tenant_schemas s join tenants t using (incarnation) where t.tenant = any($1)`,
      [[a, b]],
    );
    expect(rows[0]!.schemas).toBe(6);
    expect(rows[0]!.generations).toBeLessThan(6);
    expect(await cvopsJson(['schema', 'verify'])).toEqual({ ok: true, missing: [], unexpected: [] });
  });

  test('of one that exists: exit 6 and what to do', async () => {
    const result = await cvops('tenant', 'create', a, '-o', 'json');
    expect(result.code).toBe(6);
    expect(result.stdout).toBe('');
    expect(errorOf(result)).toMatchObject({
      code: 'WrongState',
      message: `tenant ${a} is active: cannot create`,
    });
    expect(errorOf(result).hint).toContain(`cvops tenant show ${a}`);
  });

  const bad = [
    '..',
    'a/b',
    'Acme',
    'acme-corp',
    '',
    'x'.repeat(300),
    '\u0430cme',
    'admin',
    'acme_',
    '1acme',
    'acme corp',
    'acme\n',
  ];
  test.each(bad)('of %j: exit 2, naming the rule, nothing created', async (id) => {
    const result = await cvops('tenant', 'create', '-o', 'json', '--', id);
    expect(result.code).toBe(2);
    expect(result.stdout).toBe('');
    expect(errorOf(result)).toMatchObject({
      code: 'InvalidInput',
      hint: expect.stringContaining('2 to 48 characters') as string,
    });
    const { rows } = await pool.query('select 1 from tenants where tenant::text = $1', [id]);
    expect(rows).toEqual([]);
  });

  test('with unknown templates, settings, values and profiles: exit 2, by name', async () => {
    const id = freshTenant('never');
    for (const [args, words] of [
      [['--template', 'gold'], 'gold'],
      [['--set', 'max_qsp=5'], 'max_qsp'],
      [['--set', 'max_qps=many'], 'max_qps'],
      [['--set', 'memory_enabled=1'], 'memory_enabled'],
      [['--profiles', 'nope'], 'nope'],
    ] as const) {
      const result = await cvops('tenant', 'create', id, ...args, '-o', 'json');
      expect(result.code).toBe(2);
      expect(errorOf(result).message).toContain(words);
    }
    expect((await cvops('tenant', 'show', id)).code).toBe(5);
  });

  test('--dry-run says what would be made and makes nothing', async () => {
    const id = freshTenant('planned');
    const plan = await cvopsJson<{ dryRun: boolean; schemas: string[]; config: { max_qps: number } }>([
      'tenant',
      'create',
      id,
      '--template',
      'trial',
      '--set',
      'max_qps=7',
      '--dry-run',
    ]);
    expect(plan).toMatchObject({
      dryRun: true,
      config: { max_qps: 7, memory_enabled: false },
      phoenixProject: `${id}_project`,
    });
    expect((await cvops('tenant', 'show', id)).code).toBe(5);
  });

  test('two for one id at once: one is made, the other is told so', async () => {
    const id = freshTenant('twice');
    const results = await Promise.all(
      [0, 1].map(() => cvops('tenant', 'create', id, '--template', 'trial', '-o', 'json')),
    );
    expect(results.map((r) => r.code).toSorted()).toEqual([0, 6]);
    const { rows } = await pool.query('select state from tenants where tenant = $1', [id]);
    expect(rows).toEqual([{ state: 'active' }]);
  });

  test('its configuration is there, and shown', async () => {
    const shown = await cvopsJson<{
      config: { key: string; version: number; value: Record<string, unknown> }[];
    }>(['tenant', 'show', a]);
    const system = shown.config.find((c) => c.key === 'system_config');
    expect(system).toMatchObject({
      version: 1,
      value: { llm_model: 'gpt-4', max_qps: 100, cache_ttl: 3600, phoenix_project_name: `${a}_project` },
    });
    expect(shown.config.find((c) => c.key === 'routing_config')?.value).toMatchObject({
      routing_mode: 'ensemble',
      strategies: ['gliner', 'llm', 'langextract'],
    });
  });
});

describe('ingest and search', () => {
  let first: Ingested;
  beforeAll(async () => {
    [first] = (await Promise.all(
      [a, b].map((id) => cvopsJson<Ingested>(['ingest', id, videos, '--profile', PROFILE])),
    )) as [Ingested, Ingested];
  });

  test('real videos are stored, and every document is found again through document/v1', async () => {
    expect(first.videos).toEqual({ stored: 3, unchanged: 0, failed: 0 });
    expect(first.documents).toBeGreaterThanOrEqual(15);
    for (const id of [a, b])
      expect(await documents.count(`${PROFILE}_${id}`, CONTENT_CLUSTER)).toBe(first.documents);
    const fields = await documents.get({
      namespace: 'content',
      schema: `${PROFILE}_${a}`,
      id: 'bikes_seg_3',
    });
    expect(fields).toMatchObject({
      tenant_id: a,
      incarnation: created[0]!.incarnation,
      video_id: 'bikes',
      segment_id: 3,
      start_time: 3,
      end_time: 4,
    });
  });

  test('again: all unchanged, and no document twice', async () => {
    const again = await cvopsJson<Ingested>(['ingest', a, videos, '--profile', PROFILE]);
    expect(again.videos).toEqual({ stored: 0, unchanged: 3, failed: 0 });
    expect(await documents.count(`${PROFILE}_${a}`, CONTENT_CLUSTER)).toBe(first.documents);
  });

  test.each(rankingsOf(PROFILE))(
    'ranking %s finds this tenant’s videos and nobody else’s',
    async (ranking) => {
      const { hits, tenant } = await cvopsJson<Found>([
        'search',
        a,
        'bikes',
        '--profile',
        PROFILE,
        '--ranking',
        ranking,
        '--top-k',
        '400',
      ]);
      expect(tenant).toBe(a);
      expect(hits.length).toBeGreaterThan(0);
      expect(hits.every((hit) => hit.tenant === a && hit.id.startsWith(`id:content:${PROFILE}_${a}::`))).toBe(
        true,
      );
      expect(hits.map((hit) => hit.score)).toEqual(hits.map((hit) => hit.score).toSorted((x, y) => y - x));
    },
  );

  test('what is seen is found without its name: green grass is the film of a meadow', async () => {
    const { hits } = await cvopsJson<Found>([
      'search',
      a,
      'green grass',
      '--profile',
      PROFILE,
      '--ranking',
      'float_float',
      '--top-k',
      '3',
    ]);
    expect(hits[0]!.video).toBe('bigbuckbunny');
  });

  test('a query is text, whatever it looks like', async () => {
    for (const query of [
      '") or true or ("',
      'x; select * from sources *',
      '@userQuery',
      '{}',
      '* or video_id contains "bikes"',
    ]) {
      const { hits } = await cvopsJson<Found>([
        'search',
        a,
        query,
        '--profile',
        PROFILE,
        '--ranking',
        'bm25_only',
      ]);
      expect(hits.every((hit) => hit.tenant === a)).toBe(true);
    }
  });

  test('a query leaves a span in its tenant’s project and in no other', async () => {
    const marker = `marker ${Date.now()}`;
    await cvopsJson(['search', b, marker, '--profile', PROFILE, '--session', 's1']);
    const phoenix = new PhoenixClient(stackSettings().phoenixUrl);
    const spans = async (id: string) =>
      (await listSpans(phoenix, `${id}_project`, 100))!.filter((s) => s.attributes['input.value'] === marker);
    await expect.poll(async () => (await spans(b)).length).toBe(1);
    expect((await spans(b))[0]!.attributes).toMatchObject({
      tenant_id: b,
      'session.id': `${b}:s1`,
      profile: PROFILE,
    });
    expect(await spans(a)).toEqual([]);
  });

  test('unknown tenant 5, profile the tenant has not 5, unknown ranking and profile 2', async () => {
    expect((await cvops('search', freshTenant('nobody'), 'x', '--profile', PROFILE)).code).toBe(5);
    expect((await cvops('search', a, 'x', '--profile', 'video_videoprism_base_mv_chunk_30s')).code).toBe(5);
    const ranking = await cvops('search', a, 'x', '--profile', PROFILE, '--ranking', 'best', '-o', 'json');
    expect(ranking.code).toBe(2);
    expect(errorOf(ranking).hint).toContain('hybrid_float_bm25');
    expect((await cvops('search', a, 'x', '--profile', 'nope')).code).toBe(2);
  });
});

describe('ingest of what is no video', () => {
  test('the item fails with its reason, the others are stored, exit 3', async () => {
    const folder = await temporaryFolder();
    await makeBadVideos(folder);
    const { readdir, copyFile } = await import('node:fs/promises');
    const bad = (await readdir(folder)).filter((name) => /\.mp4$/i.test(name));
    await copyFile(path.join(videos, 'bikes.mp4'), path.join(folder, 'good one.mp4'));
    const result = await cvopsJson<Ingested>(['ingest', a, folder, '--profile', PROFILE], 3);
    expect(result.videos).toMatchObject({ stored: 1, failed: bad.length });
    expect(result.failures.map((f) => f.video).toSorted()).toEqual(bad.toSorted());
    expect(result.failures.every((f) => f.reason.length > 5)).toBe(true);
    const shown = await cvopsJson<{ state: string; counts: Record<string, number> }>([
      'op',
      'show',
      result.operation,
    ]);
    expect(shown).toMatchObject({
      state: 'completed_with_failures',
      counts: { stored: 1, failed: bad.length, pending: 0 },
    });
  });

  test('a folder that is missing, or holds no video: exit 2', async () => {
    const missing = await cvops('ingest', a, '/no/such/folder', '--profile', PROFILE, '-o', 'json');
    expect(missing.code).toBe(2);
    expect(errorOf(missing).code).toBe('InvalidInput');
    const empty = await temporaryFolder();
    await mkdir(path.join(empty, 'sub'));
    await writeFile(path.join(empty, 'sub', 'notes.txt'), 'no video');
    const without = await cvops('ingest', a, empty, '--profile', PROFILE, '-o', 'json');
    expect(without.code).toBe(2);
    expect(errorOf(without).message).toMatch(/video/);
  });
});

describe('operations', () => {
  test('are listed by tenant, newest first, and watched to their end', async () => {
    const { operations } = await cvopsJson<{
      operations: { operation: string; kind: string; tenant: string; principal: string; ui: string }[];
    }>(['op', 'list', '--tenant', a]);
    expect(operations.at(-1)!.kind).toBe('createTenant');
    expect(
      operations.every((o) => o.tenant === a && o.principal === 'tests' && o.ui.includes('/workflows/')),
    ).toBe(true);
    expect(await cvopsJson(['op', 'watch', operations.at(-1)!.operation])).toMatchObject({
      state: 'completed',
    });
    expect((await cvops('op', 'show', '00000000-0000-4000-8000-000000000000')).code).toBe(5);
  });

  test('every mutation is in the audit log, and its chain holds', async () => {
    const { rows } = await pool.query<{ outcome: string }>(
      `select outcome from audit_log where tenant = $1 and verb = 'create' order by seq`,
      [parseTenantId(a)],
    );
    expect(rows.map((r) => r.outcome)).toEqual(['started', 'completed']);
    expect((await verifyAudit(pool)).brokenAt).toBeUndefined();
  });

  test('status names every service with its address', async () => {
    const { services } = await cvopsJson<{
      services: { name: string; state: string; address: string; version: string }[];
    }>(['status']);
    expect(services.map((s) => s.name).toSorted()).toEqual([
      'phoenix',
      'postgres',
      'temporal',
      'temporal-ui',
      'vespa',
      'vespa-config',
      'worker-control',
      'worker-data',
    ]);
    expect(services.every((s) => s.state === 'running' && new URL(s.address).protocol !== '')).toBe(true);
    expect(services.find((s) => s.name === 'vespa')!.version).toContain('emulator');
  });
});
