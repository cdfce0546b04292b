import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { backupFolder, parseStorePath } from '../../../src/domain/backups.js';
import { keyEncryptionKey, openDataKey } from '../../../src/backup/format/keys.js';
import { readPart } from '../../../src/backup/format/readPart.js';
import { verifyBackup } from '../../../src/backup/verify.js';
import { MemoryStore } from '../../support/memoryStore.js';
import { collect } from '../../support/videos.js';
import { BACKUP, FRAMES, TENANT, document, trustedKeys } from './formatFixtures.js';

const key = keyEncryptionKey(Buffer.alloc(32, 'k'));

// What stands in golden/ was written by format version 1 and is never written again: every later reader must read it.
describe.each(['v1-plain', 'v1-encrypted'])('the golden backup %s', (name) => {
  it('is verified, and gives the documents it was made of, byte for byte', async () => {
    const store = await loaded(path.join(import.meta.dirname, 'golden', name));
    const place = { store, folder: backupFolder(TENANT, BACKUP) };
    const { ok, errors, manifest } = await verifyBackup(place, { trustedKeys, key });
    expect(errors).toEqual([]);
    expect(ok).toBe(true);

    const { parts, encryption, tenant, backup, schemas } = manifest!;
    const dataKey = encryption ? openDataKey(key, encryption, { tenant, backup }) : undefined;
    const lines: string[] = [];
    for (const part of parts.filter(({ kind }) => kind === 'documents'))
      for (const line of await collect(readPart(place, part, { key: dataKey }))) lines.push(line.toString());
    const { schema, namespace } = schemas.find(({ base }) => base === FRAMES)!;
    expect(lines).toEqual(Array.from({ length: 6 }, (_, i) => document(schema, namespace, `v_seg_${i}`)));
  });
});

async function loaded(folder: string): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file).split(path.sep).join('/');
    store.objects.set(parseStorePath(name), await readFile(file));
  }
  return store;
}
