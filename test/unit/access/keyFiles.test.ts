import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { addPublicKey, keysBesideNew } from '../../../src/access/keyFiles.js';
import { MAX_VERIFYING_KEYS, loadVerifyingKeys, newSigningJwk } from '../../../src/access/keys.js';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keys-'));
  file = path.join(folder, 'keys.json');
});
afterEach(() => rm(folder, { recursive: true }));

it('believes a new key beside the others, up to the last that can be loaded again', async () => {
  expect(await keysBesideNew(file)).toEqual([]);
  const made = Array.from({ length: MAX_VERIFYING_KEYS }, newSigningJwk);
  for (const key of made) await addPublicKey(file, key);
  const kids = made.map(({ kid }) => kid);
  expect((await loadVerifyingKeys(`file:${file}`)).keys.map(({ kid }) => kid)).toEqual(kids);

  const before = await readFile(file, 'utf8');
  const full = expect.objectContaining({ type: 'WrongState', message: expect.stringContaining(file) });
  await expect(addPublicKey(file, newSigningJwk())).rejects.toEqual(full);
  await expect(keysBesideNew(file)).rejects.toEqual(full);
  expect(await readFile(file, 'utf8')).toBe(before);
  // One that is there needs no room, as at every start of the embedded stack.
  expect(await addPublicKey(file, made[0]!)).toEqual(kids);
});
