import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  BACKUP,
  DOCUMENTS,
  GIVEN_UP_BACKUP,
  GIVEN_UP_RESTORE,
  RESTORE,
  Run,
  type Step,
  failed,
} from '../support/backupSteps.js';
import { BackupWorld, SPANS } from '../support/backupWorld.js';
import { Mortal } from '../support/crashing.js';

let world: BackupWorld;
beforeAll(async () => {
  world = await BackupWorld.start();
});
afterAll(() => world?.stop());

/** Kills an activity after its first step, after its second, until it outlives them all. @returns how often it died */
async function atEveryStep(each: (mortal: Mortal) => Promise<void>): Promise<number> {
  for (let at = 1; ; at++) {
    const mortal = new Mortal(at);
    await each(mortal);
    if (!mortal.died) return at - 1;
  }
}

test.each(BACKUP.map(({ name }) => name))(
  '%s, killed at any step and run again: the backup is as if it never was',
  async (name) => {
    const calm = new Run(world.life);
    await world.carryOut(BACKUP, calm);
    const whole = await world.backedUp(calm);
    expect(whole.rows).toMatchObject([{ state: 'complete', documents: DOCUMENTS, spans: SPANS }]);
    expect(whole.documents.filter((line) => line !== '').length).toBe(DOCUMENTS);
    const deaths = await atEveryStep(async (mortal) => {
      const run = new Run(world.life);
      await world.carryOut(BACKUP, run, name, mortal);
      expect(await world.backedUp(run), `killed after step ${mortal.steps}`).toEqual(whole);
    });
    expect(deaths).toBeGreaterThan(2);
  },
);

test('a backup that is given up leaves nothing, wherever the giving up is killed', async () => {
  const deaths = await atEveryStep(async (mortal) => {
    const run = new Run(world.life);
    await world.carryOut(GIVEN_UP_BACKUP, run, 'failBackup', mortal);
    expect(await world.backedUp(run), `killed after step ${mortal.steps}`).toMatchObject({
      ...{ documents: [], others: [], manifest: undefined, slices: [], parts: [] },
      rows: [{ state: 'failed' }],
      operation: [{ state: 'failed', error: failed.failure }],
      audit: [{ outcome: 'started' }, { outcome: 'failed' }],
    });
  });
  expect(deaths).toBeGreaterThan(6);
});

test.each(RESTORE.map(({ name }) => name))(
  '%s, killed at any step and run again: the tenant is as if it never was',
  async (name) => {
    const made = new Run(world.life);
    await world.carryOut(BACKUP, made);
    await world.spoil();
    const calm = new Run(world.life, made.backup);
    await world.carryOut(RESTORE, calm);
    const whole = await world.restored(calm);
    expect(whole.tenant).toEqual([{ state: 'active', fence: null, unfinished: false, purges: false }]);
    expect(whole.lines.length).toBe(DOCUMENTS);
    const deaths = await atEveryStep(async (mortal) => {
      await world.spoil();
      const run = new Run(world.life, made.backup);
      await world.carryOut(RESTORE, run, name, mortal);
      expect(await world.restored(run), `killed after step ${mortal.steps}`).toEqual(whole);
    });
    expect(deaths).toBeGreaterThan(2);
  },
);

test('a restore that is given up leaves the tenant closed, wherever the giving up is killed, and the next one opens it', async () => {
  const made = new Run(world.life);
  await world.carryOut(BACKUP, made);
  const whole = { lines: (await world.restored(made)).lines };
  const deaths = await atEveryStep(async (mortal) => {
    await world.spoil();
    const run = new Run(world.life, made.backup);
    await world.carryOut(GIVEN_UP_RESTORE, run, 'failRestore', mortal);
    expect(await world.restored(run), `killed after step ${mortal.steps}`).toMatchObject({
      tenant: [{ state: 'inactive', fence: null, unfinished: true, purges: true }],
      operation: [{ state: 'failed', error: failed.failure }],
      audit: [{ outcome: 'started' }, { outcome: 'failed' }],
    });
    const next = new Run(world.life, made.backup);
    await world.carryOut(RESTORE, next);
    expect(await world.restored(next)).toMatchObject({
      ...whole,
      tenant: [{ state: 'active', unfinished: false }],
    });
  });
  expect(deaths).toBeGreaterThan(2);
});

test('a restore into a life that was made for a failed one gives it the history of the backup, and no other', async () => {
  const made = new Run(world.life);
  await world.carryOut(BACKUP, made);
  const history = await world.history();
  await world.madeForAFailedRestore();
  expect(await world.history()).not.toEqual(history);
  const again = new Run(world.life, made.backup);
  await world.carryOut(GIVEN_UP_RESTORE, again);
  await world.carryOut(RESTORE, new Run(world.life, made.backup));
  expect(await world.history()).toEqual(history);
});

describe('an attempt that is thought dead and goes on', () => {
  const of = (...names: Step['name'][]) => BACKUP.filter(({ name }) => names.includes(name));

  /** It hangs at its first object until others have done these steps. @returns what comes of it */
  async function overtaken(run: Run, hanging: Step, others: readonly Step[]): Promise<unknown> {
    const [hangs, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const put = world.store.put.bind(world.store);
    vi.spyOn(world.store, 'put').mockImplementationOnce(async (...object) => {
      begun.resolve();
      await hangs.promise;
      return put(...object);
    });
    const late = world.carryOut([hanging], run).catch((error: unknown) => error);
    await begun.promise;
    // What they store is not the same.
    await world.spoil();
    await world.carryOut(others, run);
    hangs.resolve();
    return late;
  }

  test.each(['backUpRegistry', 'backUpTraces'] as const)(
    'at %s overwrites nothing of what is stored since, nor adds to what is complete',
    async (name) => {
      const again = of(name);
      const rest = of('backUpRegistry', 'backUpTraces', 'finishBackup').filter((step) => step.name !== name);
      for (const meanwhile of [again, [...again, ...rest]]) {
        const run = new Run(world.life);
        await world.carryOut(of('beginBackup', 'backUpSlice'), run);
        if (name === 'backUpTraces') await world.carryOut(of('backUpRegistry'), run);
        const late = await overtaken(run, again[0]!, meanwhile);
        if (meanwhile === again) await world.carryOut(rest, run);
        // Traces have numbers of their own: while the backup runs either attempt's are whole.
        if (name === 'backUpRegistry' || meanwhile !== again) expect(late).toBeInstanceOf(Error);
        expect(await world.verdictOf(run)).toMatchObject({ ok: true, errors: [] });
      }
    },
  );
});
