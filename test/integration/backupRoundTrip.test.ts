import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  BackupTenantResult,
  RestoreTenantResult,
  VerifyBackupResult,
} from '../../src/contracts/backupOperations.js';
import { MEMORY_SCHEMA } from '../../src/domain/profiles.js';
import {
  BackupWorld,
  CHUNKS,
  type Everything,
  FRAMES,
  PROFILES,
  backUp,
  flip,
  folderOf,
  linesIn,
  manifestIn,
} from '../support/backups.js';
import type { ConfigVersion } from '../../src/registry/config.js';
import { NO_LIMIT, cvops, cvopsJson, errorOf, freshTenant } from '../support/cvops.js';
import { fillTraces } from '../support/traces.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const id = freshTenant('kept');
const TRACES = 12;
let world: BackupWorld;
let clips: string;
let before: Everything;
let backup: BackupTenantResult;

const ingest = () =>
  cvopsJson<{ videos: object; documents: number }>(['ingest', id, clips, '--profile', FRAMES]);

beforeAll(async () => {
  world = new BackupWorld();
  clips = await temporaryFolder();
  for (const seconds of [2, 3]) await makeVideo(path.join(clips, `clip ${seconds}.mp4`), { seconds });
  await cvopsJson(['tenant', 'create', id, ...PROFILES, ...NO_LIMIT]);
  await ingest();
  await world.fillOddly(id, { traces: TRACES });
  await cvopsJson(['config', 'set', id, '--set', 'cache_ttl=61']);
  before = await world.everythingOf(id);
  backup = await backUp(id, '--reason', 'before the change');
});
afterAll(() => world?.close());

describe('a backup', () => {
  test('holds the very bytes that a visit gives, and counts them', async () => {
    const folder = folderOf(backup);
    for (const base of [FRAMES, CHUNKS] as const)
      expect(await linesIn(folder, 'documents', base)).toEqual(before.documents[base]);
    expect(await linesIn(folder, 'memory')).toEqual(before.documents[MEMORY_SCHEMA]);
    const text = before.documents[CHUNKS]!.join('\n');
    for (const exact of ['9223372036854775807', '-9223372036854775808', '1.0E300', '-0.0'])
      expect(text).toContain(exact);
    const { traces, videos, config, consistency } = await manifestIn(folder);
    expect(backup).toMatchObject({
      documents: before.documents[FRAMES]!.length + before.documents[CHUNKS]!.length,
      memories: before.documents[MEMORY_SCHEMA]!.length,
      spans: TRACES * 4,
      consistency: 'settled',
      asked: 'settled',
    });
    expect(consistency.passes).toBeGreaterThanOrEqual(2);
    expect([traces?.spans.count, traces?.annotations.count, traces?.notes.count]).toEqual([
      before.traces!.spans.length,
      before.traces!.annotations.length,
      before.traces!.notes.length,
    ]);
    expect(before.traces!.notes.length).toBeGreaterThan(0);
    expect([videos.count, config.versions]).toEqual([2, before.config.length]);
  });

  test('is sound by its id, by its folder and in samples, and no longer when one bit is another', async () => {
    const folder = folderOf(backup);
    for (const name of [backup.backup, folder]) {
      expect(await cvopsJson<VerifyBackupResult>(['backup', 'verify', name])).toMatchObject({
        ok: true,
        errors: [],
        documents: backup.documents + backup.memories,
        bytes: backup.bytes,
      });
    }
    const samples = [];
    for (const n of [1, 2])
      samples.push(await cvopsJson<VerifyBackupResult>(['backup', 'verify', folder, '--sample', `${n}/2`]));
    expect(samples.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(backup.bytes);

    const part = `documents/${CHUNKS}/part-00000.jsonl.zst`;
    const bytes = await readFile(path.join(folder, part));
    await flip(path.join(folder, part));
    for (const name of [backup.backup, folder]) {
      const verdict = await cvopsJson<VerifyBackupResult>(['backup', 'verify', name], 8);
      expect(verdict).toMatchObject({ ok: false, errors: [expect.stringContaining(part)] });
      // What was read by its id is an operation; of one that was not waited for the same is heard later.
      if (name !== folder) expect((await cvops('op', 'watch', verdict.operation)).code).toBe(8);
    }
    await writeFile(path.join(folder, part), bytes);
    expect(await cvopsJson(['backup', 'verify', backup.backup])).toMatchObject({ ok: true });
  });
});

describe('a restore over what the tenant holds', () => {
  beforeAll(async () => {
    await world.remove(id, CHUNKS, 'highest');
    await world.remove(id, MEMORY_SCHEMA, 'm 3 "ü"');
    await world.feed(id, CHUNKS, { many_7: '{"segment_id":-7}', later: '{"segment_id":1}' });
    const { incarnation, phoenixProject } = await world.tenant(id);
    await fillTraces(world.phoenix, phoenixProject, {
      ...{ tenant: id, incarnation, seed: `${id} later`, traces: 2 },
    });
    await makeVideo(path.join(clips, 'later.mp4'), { seconds: 2 });
    await ingest();
    await cvopsJson(['config', 'set', id, '--set', 'cache_ttl=7']);
  });

  test('needs --replace and the tenant’s name, and is foretold without a change', async () => {
    const now = await world.everythingOf(id);
    const refused = await cvops('backup', 'restore', backup.backup, '-o', 'json');
    expect(refused.code).toBe(6);
    expect(errorOf(refused)).toMatchObject({
      code: 'WrongState',
      hint: expect.stringContaining('--replace') as string,
    });
    expect((await cvops('backup', 'restore', backup.backup, '--replace')).code).toBe(2);
    expect((await cvops('backup', 'restore', backup.backup, '--replace', '--confirm', 'other')).code).toBe(2);

    const operations = async () =>
      (await world.pool.query('select operation from operations where tenant = $1', [id])).rowCount;
    const count = await operations();
    const foretold = await cvopsJson<RestoreTenantResult>([
      ...['backup', 'restore', backup.backup, '--preview'],
    ]);
    expect(foretold).toMatchObject({
      tenant: id,
      from: id,
      state: 'previewed',
      how: 'replace',
      renames: false,
      documents: backup.documents,
      loses: {
        documents: Object.values(now.documents).flat().length,
        spans: now.traces!.spans.length,
      },
    });
    expect(await operations()).toBe(count);
    expect(await world.everythingOf(id)).toEqual(now);
    expect(await world.tenant(id)).toMatchObject({ state: 'active', fence: null, unfinishedRestore: null });
  });

  test('brings everything back: no byte of a document differs, no video is ingested again', async () => {
    const changed = (await world.everythingOf(id)).config;
    const restored = await cvopsJson<RestoreTenantResult>([
      ...['backup', 'restore', backup.backup, '--replace', '--confirm', id],
    ]);
    expect(restored).toMatchObject({ tenant: id, state: 'active', how: 'replace', spans: TRACES * 4 });
    const after = await world.everythingOf(id);
    expect(after.documents).toEqual(before.documents);
    expect(after.videos).toEqual(before.videos);
    expect(after.traces).toEqual(before.traces);
    // A life that has a history of its own keeps it: what the backup had comes as one version more.
    const versionOf = ({ key, version }: ConfigVersion) => `${key} ${version}`;
    const known = new Set(changed.map(versionOf));
    expect(after.config.filter((each) => known.has(versionOf(each)))).toEqual(changed);
    expect(after.config.filter((each) => !known.has(versionOf(each)))).toEqual([
      expect.objectContaining({
        key: 'system_config',
        version: 4,
        value: before.config.findLast(({ key }) => key === 'system_config')!.value,
        author: 'tests',
        reason: `restored from backup ${backup.backup}`,
      }),
    ]);
    expect(await world.tenant(id)).toMatchObject({ state: 'active', fence: null, unfinishedRestore: null });
    expect((await ingest()).videos).toEqual({ stored: 1, unchanged: 2, failed: 0 });
  });
});
