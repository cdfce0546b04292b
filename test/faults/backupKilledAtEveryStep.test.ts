import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  BACKUP,
  DOCUMENTS,
  GIVEN_UP_BACKUP,
  GIVEN_UP_RESTORE,
  RESTORE,
  Run,
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
