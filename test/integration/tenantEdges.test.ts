import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { CvopsClient } from '../../src/client/index.js';
import { isRunning } from '../../src/embedded/processes.js';
import { readRecords } from '../../src/embedded/records.js';
import { parseTenantId } from '../../src/domain/ids.js';
import { javaHashCode, workflowIds } from '../../src/domain/naming.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { findTenant } from '../../src/registry/tenants.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { withRemovalAllowed } from '../../src/vespa/package/overrides.js';
import { editServices } from '../../src/vespa/package/services.js';
import { cvops, cvopsJson, errorOf, freshTenant, stackSettings } from '../support/cvops.js';

const PROFILE = 'video_colpali_smol500_mv_frame';
const QUICK = ['--second-look', '2'];

let pool: Pool;
let server: ConfigServer;
let temporal: Client;
let connection: Connection;
let client: CvopsClient;
beforeAll(async () => {
  const settings = stackSettings();
  pool = openPool(settings.databaseUrl, { name: 'tests' });
  server = new ConfigServer(settings.vespaConfigUrl);
  connection = await Connection.connect({ address: settings.temporalAddress });
  temporal = new Client({ connection });
  client = await CvopsClient.connect(settings);
  // There is an application from here on.
  await create(freshTenant('first'));
});
afterAll(async () => {
  await client?.close();
  await connection?.close();
  await pool?.end();
});

const create = (id: string, ...more: string[]) =>
  cvopsJson<{ incarnation: string }>([
    'tenant',
    'create',
    id,
    '--template',
    'trial',
    '--profiles',
    PROFILE,
    ...more,
  ]);
const remove = (id: string) =>
  cvopsJson<{ certificate: string }>(['tenant', 'delete', id, '--hard', '--confirm', id, ...QUICK]);
/** Returns while it is being created, and from here: until a command has ended its creation may be over. */
async function begin(id: string, template: 'trial' | 'startup'): Promise<void> {
  await client.createTenant({
    tenant: parseTenantId(id),
    template,
    overrides: {},
    profiles: [PROFILE],
    reason: '',
  });
  await expect.poll(() => stateOf(id), { interval: 10 }).toBe('creating');
}
const stateOf = async (id: string) => (await findTenant(pool, parseTenantId(id)))?.state;

/** Deploys as somebody else would: from the active package, with sessions. */
async function deployAsSomebodyElse(change: {
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}): Promise<void> {
  const { add = [], remove: gone = [] } = change;
  for (;;) {
    const session = await server.createSessionFromActive();
    const services = (await server.readFile('services.xml', session))!.toString('utf8');
    for (const name of add)
      await server.putFile(
        session,
        `schemas/${name}.sd`,
        Buffer.from(
          `schema ${name} {\n  document ${name} {\n    field title type string { indexing: summary }\n  }\n}\n`,
        ),
      );
    for (const name of gone) await server.deleteFile(session, `schemas/${name}.sd`);
    const edited = editServices(services, { add, remove: gone });
    await server.putFile(session, 'services.xml', Buffer.from(edited));
    if (gone.length > 0)
      await server.putFile(
        session,
        'validation-overrides.xml',
        Buffer.from(withRemovalAllowed(undefined, new Date())),
      );
    await server.prepare(session);
    try {
      await server.activate(session);
      return;
    } catch {
      // One of ours came between.
    }
  }
}

describe('a tenant that cannot be created', () => {
  test('fails alone and by name, is deleted all the same, and its name is free of its leftovers', async () => {
    const id = freshTenant('taken');
    // Somebody else's schema has the name already: Vespa refuses the package with ours.
    const colliding = hashTwin(`${PROFILE}_${id}`);
    await deployAsSomebodyElse({ add: [colliding] });
    const others = freshTenant('beside');
    const [failed] = await Promise.all([
      cvops('tenant', 'create', id, '--template', 'trial', '--profiles', PROFILE, '-o', 'json'),
      create(others),
    ]);
    expect(failed.code).toBe(1);
    expect(errorOf(failed)).toMatchObject({ code: 'Rejected' });
    expect(await stateOf(id)).toBe('creation_failed');
    expect(await stateOf(others)).toBe('active');
    const { certificate } = await remove(id);
    expect((await cvops('certificate', 'verify', certificate)).code).toBe(0);
    expect(await stateOf(id)).toBe('purged');
    await deployAsSomebodyElse({ remove: [colliding] });
  });

  test('because somebody else has a schema of that name: theirs stays as it is, with its documents', async () => {
    const id = freshTenant('adopts');
    const name = `${PROFILE}_${id}`;
    await deployAsSomebodyElse({ add: [name] });
    const theirs = await server.readFile(`schemas/${name}.sd`);
    const failed = await cvops(
      'tenant',
      'create',
      id,
      '--template',
      'trial',
      '--profiles',
      PROFILE,
      '-o',
      'json',
    );
    expect(failed.code).toBe(6);
    expect(errorOf(failed).message).toContain(`${name} is in the Vespa application already`);
    await remove(id);
    expect(await server.readFile(`schemas/${name}.sd`)).toEqual(theirs);
    expect(await cvopsJson(['schema', 'drop', name, '--confirm', name])).toMatchObject({ dropped: [name] });
  });

  test('whose creation was terminated half way stays creating, and is deleted from there', async () => {
    const id = freshTenant('halfway');
    await begin(id, 'trial');
    await temporal.workflow.getHandle(workflowIds.createTenant(parseTenantId(id))).terminate('lost');
    expect(await stateOf(id)).toBe('creating');
    await remove(id);
    expect(await stateOf(id)).toBe('purged');
    expect(await cvopsJson(['schema', 'list', '--tenant', id])).toEqual({ tenants: { [id]: [] } });
  });

  test('and is deleted while its creation runs: the creation is stopped first', async () => {
    const id = freshTenant('racing');
    await begin(id, 'startup');
    await (
      await client.life.delete({ tenant: parseTenantId(id), reason: '', secondLookSeconds: 2 })
    ).result();
    expect(await stateOf(id)).toBe('purged');
    expect(await cvopsJson(['schema', 'verify', '--tenant', id])).toMatchObject({ ok: true });
  });
});

test('the control worker killed again and again during a purge: one certificate, nothing left', async () => {
  const id = freshTenant('killed');
  await create(id);
  const handle = await client.life.delete({ tenant: parseTenantId(id), reason: '', secondLookSeconds: 2 });
  let kills = 0;
  while ((await stateOf(id)) !== 'purged' && kills < 4) {
    const worker = readRecords(inject('stack').home)['worker-control'];
    if (worker && isRunning(worker.identity)) {
      process.kill(worker.identity.pid, 'SIGKILL');
      kills++;
    }
    // Different points of the way: what is killed at one is tried again from there.
    await delay(1500 + 700 * kills);
  }
  expect(kills).toBeGreaterThan(1);
  expect(await handle.result()).toMatchObject({ state: 'purged' });
  const { rows } = await pool.query<{ n: number }>(
    `select count(*) as n from audit_log where tenant = $1 and verb = 'delete'`,
    [id],
  );
  expect(rows[0]!.n).toBe(2);
});

describe('drift', () => {
  test('what somebody took out of the package is found by name, and put back on request', async () => {
    const id = freshTenant('lost');
    await create(id);
    const name = `${PROFILE}_${id}`;
    await deployAsSomebodyElse({ remove: [name] });
    const found = await cvops('schema', 'verify', '--tenant', id, '-o', 'json');
    expect(found.code).toBe(8);
    expect(JSON.parse(found.stdout)).toEqual({ ok: false, missing: [name], unexpected: [] });
    expect(await cvopsJson(['schema', 'verify', '--tenant', id, '--repair'])).toEqual({
      ok: true,
      missing: [],
      unexpected: [],
    });
    expect(await server.readFile(`schemas/${name}.sd`)).toBeDefined();
  });

  test('what is nobody’s is found, kept by every deploy, and taken out only by name', async () => {
    const foreign = `theirs_${freshTenant('x')}`;
    await deployAsSomebodyElse({ add: [foreign] });
    const theirs = await server.readFile(`schemas/${foreign}.sd`);
    const id = freshTenant('beside');
    await create(id);
    const found = await cvops('schema', 'verify', '-o', 'json');
    expect(found.code).toBe(8);
    expect(JSON.parse(found.stdout)).toMatchObject({ missing: [], unexpected: [foreign] });
    expect(await server.readFile(`schemas/${foreign}.sd`)).toEqual(theirs);
    for (const [name, code] of [
      [`${PROFILE}_${id}`, 6],
      ['no_such_schema', 5],
    ] as const)
      expect((await cvops('schema', 'drop', name, '--confirm', name, '-o', 'json')).code).toBe(code);
    expect((await cvops('schema', 'drop', foreign, '-o', 'json')).code).toBe(2);
    for (const [name, code] of [
      [`${PROFILE}_${id}`, 6],
      ['no_such_schema', 5],
    ] as const)
      expect((await cvops('schema', 'drop', name, '--dry-run', '-o', 'json')).code).toBe(code);
    expect(await cvopsJson(['schema', 'drop', foreign, '--dry-run'])).toEqual({
      dryRun: true,
      schemas: [{ schema: foreign, documents: 0 }],
    });
    expect(await server.readFile(`schemas/${foreign}.sd`)).toEqual(theirs);
    await cvopsJson(['schema', 'drop', foreign, '--confirm', foreign, '--reason', 'left over']);
    expect(await server.readFile(`schemas/${foreign}.sd`)).toBeUndefined();
    expect(await cvopsJson(['schema', 'verify'])).toMatchObject({ ok: true });
  });
});

/** Another name of the same Java hash: two characters that are two apart, and the next 62 apart the other way. */
function hashTwin(name: string): string {
  for (let i = name.length - 2; i > 0; i--) {
    const [a, b] = [name.charCodeAt(i), name.charCodeAt(i + 1)];
    for (let shift = 1; shift <= 3; shift++) {
      const twin = name.slice(0, i) + String.fromCharCode(a + shift, b - 31 * shift) + name.slice(i + 2);
      if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(twin)) {
        expect(javaHashCode(twin)).toBe(javaHashCode(name));
        return twin;
      }
    }
  }
  throw new Error(`no twin of ${name}`);
}
