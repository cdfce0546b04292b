import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { CodecServerProcess } from '../support/codecServer.js';
import { cvopsWith, freshTenant } from '../support/cvops.js';
import { historiesOf, payloadsIn } from '../support/historyBytes.js';
import { OwnWorkers } from '../support/ownWorkers.js';
import { makeVideo, temporaryFolder } from '../support/videos.js';

const FRAMES = 'video_colpali_smol500_mv_frame';
const WORDS = 'plantedwords';
const key = (id: string) => `${id}:${randomBytes(32).toString('base64')}`;
const [old, fresh] = [key('old'), key('fresh')];
const tenant = freshTenant('coded');

let workers: OwnWorkers;
let connection: Connection;
let folder: string;
let server: CodecServerProcess | undefined;
const KEYS = { PAYLOAD_KEYS: old, CVOPS_PAYLOAD_KEYS: 'env:PAYLOAD_KEYS' };
const run = async (keys: Record<string, string>, ...args: string[]) => {
  const env = { ...workers.environment, ...keys };
  return cvopsWith(env, ...args, '--reason', WORDS, '-o', 'json');
};

beforeAll(async () => {
  [workers, folder, connection] = await Promise.all([
    OwnWorkers.open('coded'),
    temporaryFolder(),
    Connection.connect({ address: inject('stack').addresses.temporalAddress }),
  ]);
  await Promise.all([workers.start('control', KEYS), workers.start('data', { ...KEYS, ...inject('s3') })]);
});
afterAll(async () => {
  await server?.stop();
  await workers.close();
  await connection.close();
  await rm(folder, { recursive: true });
});

test('with keys no history holds a word of its tenant’s, and the codec server reads them all', async () => {
  await makeVideo(path.join(folder, `${WORDS}.mp4`), { colours: ['red'], seconds: 1 });
  const created = await run(KEYS, 'tenant', 'create', tenant, '--template', 'startup', '--profiles', FRAMES);
  expect(created.code).toBe(0);
  const codes = await Promise.all([
    run(KEYS, 'ingest', tenant, folder, '--profile', FRAMES),
    run(KEYS, 'ingest', tenant, `s3://${WORDS}/x`, '--profile', FRAMES),
    run(KEYS, 'memory', 'import', tenant, path.join(folder, 'nothing', WORDS)),
    run(KEYS, 'watch', 'add', tenant, folder, '--profile', FRAMES, '--name', 'w', '--every', '1d'),
  ]);
  // Failures come back as what they are, though their messages are encrypted too.
  expect(codes.map(({ code }) => code)).toEqual([0, 5, 5, 0]);
  expect(codes[1].stderr).toContain(WORDS);
  expect((await run(KEYS, 'watch', 'run', tenant, 'w')).code).toBe(0);

  // Who has no key, or another, reads nothing; who has both reads all and writes with the first.
  const unkeyed = await run({}, 'watch', 'run', tenant, 'w');
  expect(unkeyed.code).not.toBe(0);
  const rotated = { ...KEYS, PAYLOAD_KEYS: `${fresh} ${old}` };
  const worker = await workers.start('control', rotated);
  expect(worker.exitCode).toBeNull();

  const histories = await historiesOf(new Client({ connection, namespace: workers.namespace }));
  expect(histories.size).toBeGreaterThanOrEqual(5);
  for (const [id, { bytes }] of histories) expect(bytes.includes(WORDS), id).toBe(false);
  const payloads = [...histories.values()].flatMap(({ history }) => payloadsIn(history));
  expect(payloads.length).toBeGreaterThan(50);

  server = await CodecServerProcess.start(rotated);
  const readable = await server.textsOf(payloads);
  expect(readable.filter((text) => text.includes(WORDS)).length).toBeGreaterThan(5);
});

test('a command with a bad key, or none where plain payloads are refused, says so before anything begins', async () => {
  const other = freshTenant('never');
  for (const keys of [
    { PAYLOAD_KEYS: 'k:short', CVOPS_PAYLOAD_KEYS: 'env:PAYLOAD_KEYS' },
    { CVOPS_PAYLOAD_KEYS: 'env:NOT_SET' },
    { CVOPS_PAYLOAD_KEYS: old },
    { CVOPS_PLAIN_PAYLOADS: 'refuse' },
  ]) {
    const { code, stderr } = await run(keys, 'tenant', 'create', other, '--profiles', FRAMES);
    expect(code).toBe(2);
    expect(stderr).not.toContain(old.slice(4));
  }
});
