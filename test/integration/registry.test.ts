import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTenantId } from '../../src/domain/ids.js';
import { javaHashCode, tenantSchemaName } from '../../src/domain/naming.js';
import type { BaseSchema } from '../../src/domain/profiles.js';
import {
  type ConfigCoordinates,
  configHistory,
  currentConfig,
  deleteConfig,
  getConfig,
  putConfig,
} from '../../src/registry/config.js';
import { type Pool, transaction } from '../../src/registry/database.js';
import {
  finishOperation,
  getOperation,
  listOperations,
  startOperation,
} from '../../src/registry/operations.js';
import {
  allSchemas,
  markDeployed,
  markRemoved,
  releaseReserved,
  reserveSchemas,
  schemasOf,
} from '../../src/registry/schemas.js';
import {
  findTenant,
  getTenant,
  insertTenant,
  listTenants,
  requireTenant,
  setTenantState,
} from '../../src/registry/tenants.js';
import {
  type TestRegistry,
  atOnce,
  lifeOf,
  makeIngest,
  makeTenant,
  newIncarnation,
  newOperation,
  startTestRegistry,
} from '../support/registry.js';

let registry: TestRegistry;
let pool: Pool;

beforeAll(async () => {
  registry = await startTestRegistry();
  pool = registry.pool;
});
afterAll(() => registry.stop());

const FRAME: BaseSchema = 'video_colpali_smol500_mv_frame';
const CHUNK: BaseSchema = 'video_videoprism_base_mv_chunk_30s';
const wrongState = expect.objectContaining({ name: 'OpsError', type: 'WrongState' }) as Error;
const conflict = expect.objectContaining({ name: 'OpsError', type: 'Conflict' }) as Error;

describe('tenants', () => {
  it('one of 20 creates at once makes the tenant, the others are told that it exists', async () => {
    const lives = Array.from({ length: 20 }, () => lifeOf('crowded'));
    const ends = await atOnce(20, (i) => transaction(pool, (tx) => insertTenant(tx, lives[i]!)));

    expect(ends.filter((end) => end === true)).toHaveLength(1);
    expect(ends.filter((end) => end !== true)).toEqual(Array(19).fill(wrongState));
    const { rows } = await pool.query<{ n: number }>(
      `select count(*) as n from tenants where tenant = 'crowded'`,
    );
    expect(rows).toEqual([{ n: 1 }]);
    const winner = lives[ends.indexOf(true)]!;
    expect((await getTenant(pool, winner.tenant)).incarnation).toBe(winner.incarnation);
  });

  it('one operation run 10 times at once is one creation, and none of its attempts is refused', async () => {
    const life = lifeOf('retried');
    const ends = await atOnce(10, () => transaction(pool, (tx) => insertTenant(tx, life)));
    expect(ends.toSorted()).toEqual([...Array<boolean>(9).fill(false), true]);
  });

  it('a failed creation and a purge each leave the id free for a new life', async () => {
    const [first, second, third] = [lifeOf('phoenix'), lifeOf('phoenix'), lifeOf('phoenix')];
    await insertTenant(pool, first);
    await setTenantState(pool, first.incarnation, ['creating'], 'creation_failed');
    expect(await insertTenant(pool, second)).toBe(true);
    await setTenantState(pool, second.incarnation, ['creating'], 'active');
    await expect(insertTenant(pool, third)).rejects.toEqual(wrongState);
    await setTenantState(pool, second.incarnation, ['active'], 'purging');
    await setTenantState(pool, second.incarnation, ['purging'], 'purged');
    expect((await getTenant(pool, first.tenant)).state).toBe('purged');

    expect(await insertTenant(pool, third)).toBe(true);
    expect(await getTenant(pool, first.tenant)).toMatchObject({
      incarnation: third.incarnation,
      state: 'creating',
    });
    // An attempt of the first creation that comes back from the dead finds its own row and disturbs nothing.
    expect(await insertTenant(pool, first)).toBe(false);
    expect((await getTenant(pool, first.tenant)).incarnation).toBe(third.incarnation);
  });

  it('changes state by compare-and-set: of two different changes at once one wins', async () => {
    const { incarnation } = await makeTenant(pool);
    const ends = await atOnce(8, (i) =>
      setTenantState(pool, incarnation, ['active'], i % 2 === 0 ? 'purging' : 'creation_failed'),
    );
    // Those that asked for the state that won find it reached.
    expect(ends.filter((end) => end === true)).toHaveLength(4);
    expect(await setTenantState(pool, newIncarnation(), ['active'], 'purging')).toBe(false);
  });

  it('keeps the end of the retention with the state inactive, and only with it', async () => {
    const { tenant, incarnation } = await makeTenant(pool);
    const purgeAt = new Date('2027-02-22T10:00:00.000Z');
    await expect(setTenantState(pool, incarnation, ['active'], 'inactive')).rejects.toThrow(/check/);
    expect(await setTenantState(pool, incarnation, ['active'], 'inactive', purgeAt)).toBe(true);
    // Run again, later: the first end stands.
    expect(
      await setTenantState(pool, incarnation, ['active'], 'inactive', new Date('2028-01-01T00:00:00Z')),
    ).toBe(true);
    expect(new Date((await getTenant(pool, tenant)).purgeAt!)).toEqual(purgeAt);
    await expect(requireTenant(pool, tenant, 'ingest')).rejects.toEqual(wrongState);
    expect(await setTenantState(pool, incarnation, ['inactive'], 'active')).toBe(true);
    expect((await requireTenant(pool, tenant, 'ingest')).purgeAt).toBeNull();
  });

  it('lists in pages: every tenant once, at its latest life, by state', async () => {
    const ids = Array.from({ length: 25 }, (_, i) => `paged_${String.fromCharCode(97 + ((i * 7) % 25))}`);
    for (const id of ids) {
      const former = lifeOf(id);
      await insertTenant(pool, former);
      await setTenantState(pool, former.incarnation, ['creating'], 'creation_failed');
      await makeTenant(pool, id);
    }
    const seen: string[] = [];
    for (let after = 'paged_'; ; after = seen.at(-1)!) {
      const page = await listTenants(pool, { state: 'active', after, limit: 4 });
      seen.push(...page.map(({ tenant }) => tenant).filter((id) => id.startsWith('paged_')));
      if (page.length < 4 || !page.at(-1)!.tenant.startsWith('paged_')) break;
    }
    expect(seen).toEqual(ids.toSorted());
    const failed = await listTenants(pool, { state: 'creation_failed' });
    expect(failed.filter(({ tenant }) => tenant.startsWith('paged_'))).toEqual([]);
  });

  it('has no tenant that nobody made, and says how to make it', async () => {
    const nobody = parseTenantId('nobody');
    expect(await findTenant(pool, nobody)).toBeUndefined();
    await expect(getTenant(pool, nobody)).rejects.toMatchObject({
      type: 'NotFound',
      hint: 'create it with: cvops tenant create nobody',
    });
  });

  it.each(['..', 'a', 'Acme', 'acme-corp', 'acme__x', '_a', 'а_cyr', 'admin', 'null', 'x'.repeat(49)])(
    'the database itself refuses the id %j',
    async (id) => {
      const bad = { ...lifeOf('good'), tenant: id as ReturnType<typeof parseTenantId> };
      await expect(insertTenant(pool, bad)).rejects.toThrow(/violates check constraint "tenant_id_/);
    },
  );

  it('refuses a second living tenant on one Phoenix project', async () => {
    const { tenant } = await makeTenant(pool);
    const other = { ...lifeOf('trespasser'), phoenixProject: `${tenant}_project` };
    await expect(insertTenant(pool, other)).rejects.toThrow(/Phoenix project is in use/);
  });
});

describe('schemas', () => {
  it('reserves, deploys and gives up by compare-and-set, each step twice', async () => {
    const { tenant, incarnation } = await makeTenant(pool);
    await Promise.all([
      reserveSchemas(pool, tenant, incarnation, [FRAME, CHUNK]),
      reserveSchemas(pool, tenant, incarnation, [CHUNK, FRAME]),
    ]);
    await reserveSchemas(pool, tenant, incarnation, [FRAME]);
    for (const generation of [7, 7]) await markDeployed(pool, incarnation, [FRAME], generation);
    const named = (base: BaseSchema) => ({ baseSchema: base, schemaName: tenantSchemaName(base, tenant) });
    expect(await schemasOf(pool, incarnation)).toMatchObject([
      { ...named(FRAME), tenant, state: 'deployed', generation: 7 },
      { ...named(CHUNK), tenant, state: 'reserved', generation: null },
    ]);
    await markDeployed(pool, incarnation, [FRAME], 9);
    await releaseReserved(pool, incarnation);
    expect(await schemasOf(pool, incarnation)).toMatchObject([{ ...named(FRAME), generation: 9 }]);
    for (let i = 0; i < 2; i++) await markRemoved(pool, incarnation, [FRAME]);
    expect((await allSchemas(pool)).filter((row) => row.incarnation === incarnation)).toEqual([]);
  });

  it('refuses a name with the Java hash of another tenant’s, and reserves nothing of that request', async () => {
    // Java: h = 31 h + c. A character more by two and the next less by 62 give the same.
    const [holder, intruder] = [await makeTenant(pool, 'hash_an'), await makeTenant(pool, 'hash_c0')];
    const [first, second] = [
      tenantSchemaName(CHUNK, holder.tenant),
      tenantSchemaName(CHUNK, intruder.tenant),
    ];
    expect(javaHashCode(first)).toBe(javaHashCode(second));
    await reserveSchemas(pool, holder.tenant, holder.incarnation, [CHUNK]);

    await expect(
      reserveSchemas(pool, intruder.tenant, intruder.incarnation, [FRAME, CHUNK]),
    ).rejects.toMatchObject({
      type: 'Conflict',
      message: `schema ${second} has the same Java hash code as ${first}`,
    });
    expect(await schemasOf(pool, intruder.incarnation)).toEqual([]);
  });

  it('refuses a physical name that another tenant holds, whatever its base is', async () => {
    // The case of the guide's naming rule: base `…_mv` + `frame_acme` and base `…_mv_frame` + `acme` are one name.
    const [acme, frameAcme] = [await makeTenant(pool, 'acme'), await makeTenant(pool, 'frame_acme')];
    await reserveSchemas(pool, acme.tenant, acme.incarnation, [FRAME]);
    const shorter = 'video_colpali_smol500_mv' as BaseSchema;
    await expect(
      reserveSchemas(pool, frameAcme.tenant, frameAcme.incarnation, [shorter]),
    ).rejects.toMatchObject({
      type: 'Conflict',
      message: `schema ${FRAME}_acme is taken by a tenant that is active`,
    });
  });

  it('of two lives that race for colliding names one gets them', async () => {
    const [one, two] = [await makeTenant(pool, 'race_an'), await makeTenant(pool, 'race_c0')];
    const ends = await atOnce(2, (i) => {
      const { tenant, incarnation } = [one, two][i]!;
      return reserveSchemas(pool, tenant, incarnation, i === 0 ? [CHUNK, FRAME] : [FRAME, CHUNK]);
    });
    expect(ends.filter((end) => end === undefined)).toHaveLength(1);
    expect(ends.filter((end) => end !== undefined)).toEqual([conflict]);
    const held = [...(await schemasOf(pool, one.incarnation)), ...(await schemasOf(pool, two.incarnation))];
    expect(held).toHaveLength(2);
  });

  it('takes over what a failed creation of the same id left reserved, but never from a life in use', async () => {
    const failed = lifeOf('left_over');
    await insertTenant(pool, failed);
    await reserveSchemas(pool, failed.tenant, failed.incarnation, [FRAME]);
    await setTenantState(pool, failed.incarnation, ['creating'], 'creation_failed');
    const next = await makeTenant(pool, 'left_over');
    await reserveSchemas(pool, next.tenant, next.incarnation, [FRAME]);
    expect(await schemasOf(pool, failed.incarnation)).toEqual([]);
    expect(await schemasOf(pool, next.incarnation)).toMatchObject([{ state: 'reserved' }]);

    await setTenantState(pool, next.incarnation, ['active'], 'purging');
    await setTenantState(pool, next.incarnation, ['purging'], 'purged');
    const third = await makeTenant(pool, 'left_over');
    await expect(reserveSchemas(pool, third.tenant, third.incarnation, [FRAME])).rejects.toMatchObject({
      message: `schema ${FRAME}_left_over is taken by a tenant that is purged`,
    });
  });

  it('names made of one tenant’s id are never given to another’s life', async () => {
    const [mine, theirs] = [await makeTenant(pool), await makeTenant(pool)];
    await expect(reserveSchemas(pool, mine.tenant, theirs.incarnation, [FRAME])).rejects.toMatchObject({
      type: 'NotFound',
    });
    expect(await schemasOf(pool, theirs.incarnation)).toEqual([]);
  });
});

describe('configuration', () => {
  const at = (life: { incarnation: ConfigCoordinates['incarnation'] }): ConfigCoordinates => ({
    incarnation: life.incarnation,
    scope: 'system',
    service: 'system',
    key: 'system_config',
  });
  const write = (n: number) => ({ value: { n }, author: 'ann', reason: `write ${n}` });

  it('one of 20 writers at once becomes the next version, the others are told', async () => {
    const where = at(await makeTenant(pool));
    await putConfig(pool, where, 0, write(0));
    const ends = await atOnce(20, (i) => putConfig(pool, where, 1, write(i + 1)));
    expect(ends.filter((end) => end === 2)).toHaveLength(1);
    expect(ends.filter((end) => end !== 2)).toEqual(Array(19).fill(conflict));
    expect((await getConfig(pool, where))?.value).toEqual({ n: ends.indexOf(2) + 1 });
  });

  it('loses no write of 10 writers that read and try again', async () => {
    const where = at(await makeTenant(pool));
    await atOnce(10, async (i) => {
      for (;;) {
        const seen = await getConfig(pool, where);
        const list = (seen?.value['writers'] as number[] | undefined) ?? [];
        const value = { writers: [...list, i] };
        const done = await putConfig(pool, where, seen?.version ?? 0, { value, author: 'w', reason: `${i}` })
          .then(() => true)
          .catch((error: unknown) => {
            expect(error).toEqual(conflict);
            return false;
          });
        if (done) return;
      }
    });
    const { version, value } = (await getConfig(pool, where))!;
    expect(version).toBe(10);
    expect((value['writers'] as number[]).toSorted((a, b) => a - b)).toEqual([...Array(10).keys()]);
  });

  it('the same write again finds its version, also when a later one followed; another is refused', async () => {
    const where = at(await makeTenant(pool));
    expect(await putConfig(pool, where, 0, write(1))).toBe(1);
    expect(await putConfig(pool, where, 0, write(1))).toBe(1);
    expect(await putConfig(pool, where, 1, write(2))).toBe(2);
    expect(await putConfig(pool, where, 0, write(1))).toBe(1);
    await expect(putConfig(pool, where, 0, write(3))).rejects.toMatchObject({
      message: 'system/system/system_config is at version 2, not 0',
    });
    await expect(putConfig(pool, where, 5, write(3))).rejects.toEqual(conflict);
  });

  it('a conflict leaves the transaction around it usable', async () => {
    const where = at(await makeTenant(pool));
    await putConfig(pool, where, 0, write(1));
    const version = await transaction(pool, async (tx) => {
      await putConfig(tx, where, 0, write(9)).catch(() => undefined);
      return putConfig(tx, where, 1, write(2));
    });
    expect(version).toBe(2);
  });

  it('keeps every version, gives them back in pages, and one life never sees another’s', async () => {
    const [mine, theirs] = [await makeTenant(pool), await makeTenant(pool)];
    for (let n = 1; n <= 25; n++) await putConfig(pool, at(mine), n - 1, write(n));
    await putConfig(pool, { ...at(mine), key: 'other' }, 0, write(0));
    await putConfig(pool, at(theirs), 0, write(99));

    const history: number[] = [];
    for (;;) {
      const before = history.at(-1);
      const page = await configHistory(pool, at(mine), {
        limit: 10,
        ...(before === undefined ? {} : { before }),
      });
      history.push(...page.map(({ version }) => version));
      if (page.length < 10) break;
    }
    expect(history).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i));
    expect(await getConfig(pool, at(mine), 3)).toMatchObject({ value: { n: 3 }, reason: 'write 3' });
    expect(await getConfig(pool, at(mine), 26)).toBeUndefined();
    expect((await currentConfig(pool, mine.incarnation)).map((c) => [c.key, c.version])).toEqual([
      ['other', 1],
      ['system_config', 25],
    ]);
    await deleteConfig(pool, mine.incarnation);
    expect(await currentConfig(pool, mine.incarnation)).toEqual([]);
    expect(await currentConfig(pool, theirs.incarnation)).toHaveLength(1);
  });

  it('stores what jsonb would refuse: NUL and half a surrogate pair become U+FFFD', async () => {
    const where = at(await makeTenant(pool));
    await putConfig(pool, where, 0, { value: { 'a\0': 'b\0\ud800' }, author: 'x\0', reason: '\udc00' });
    expect(await getConfig(pool, where)).toMatchObject({
      value: { 'a\ufffd': 'b\ufffd\ufffd' },
      author: 'x\ufffd',
      reason: '\ufffd',
    });
  });
});

describe('operations', () => {
  it('starts and ends once, each step twice', async () => {
    const life = await makeTenant(pool);
    const row = {
      ...life,
      operation: newOperation(),
      kind: 'ingestVideos' as const,
      principal: 'ann',
      reason: 'why',
      workflowId: 'tenant/x/ingest/y',
    };
    expect(await startOperation(pool, { ...row, runId: 'run-1' })).toBe(true);
    expect(await startOperation(pool, row)).toBe(false);
    await expect(startOperation(pool, { ...row, kind: 'createTenant' })).rejects.toEqual(conflict);
    await expect(startOperation(pool, { ...row, ...(await makeTenant(pool)) })).rejects.toEqual(conflict);

    const error = { code: 'Rejected', message: 'half a pair \ud83d and a NUL \0', hint: undefined };
    expect(await finishOperation(pool, row.operation, { state: 'failed', error })).toBe(true);
    expect(await finishOperation(pool, row.operation, { state: 'completed', counts: { n: 1 } })).toBe(false);
    expect(await getOperation(pool, row.operation)).toMatchObject({
      runId: 'run-1',
      state: 'failed',
      counts: {},
      error: { code: 'Rejected', message: 'half a pair \ufffd and a NUL \ufffd' },
    });
  });

  it('is never of a tenant that its incarnation is not of', async () => {
    const [mine, theirs] = [await makeTenant(pool), await makeTenant(pool)];
    const crossed = { ...mine, incarnation: theirs.incarnation };
    await expect(makeIngest(pool, crossed)).rejects.toThrow(/operations_life_of_tenant/);
  });

  it('lists newest first in pages, also those that began at the same instant', async () => {
    const life = await makeTenant(pool);
    // One transaction, so one `now()`.
    await transaction(pool, async (tx) => {
      for (let i = 0; i < 5; i++) await makeIngest(tx as unknown as Pool, life);
    });
    for (let i = 0; i < 4; i++) await makeIngest(pool, life);
    const whole = await listOperations(pool, { tenant: life.tenant, limit: 100 });
    expect(whole).toHaveLength(9);

    const paged: typeof whole = [];
    for (;;) {
      const page = await listOperations(pool, { tenant: life.tenant, after: paged.at(-1), limit: 2 });
      paged.push(...page);
      if (page.length < 2) break;
    }
    expect(paged).toEqual(whole);
    const times = whole.map(({ startedAt }) => startedAt);
    expect(times).toEqual(times.toSorted().toReversed());

    await finishOperation(pool, whole[0]!.operation, { state: 'completed' });
    expect(await listOperations(pool, { tenant: life.tenant, state: 'running', limit: 100 })).toHaveLength(8);
  });
});
