import { cp, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBackupId } from '../../../src/domain/backups.js';
import { openStore } from '../../../src/backup/store/open.js';
import type { BackupStore } from '../../../src/backup/store/store.js';
import { verifyBackup } from '../../../src/backup/verify.js';
import { temporaryFolder } from '../../support/videos.js';
import { BACKUP, TENANT, trustedKeys, writeBackup } from './formatFixtures.js';

let root: string;
let store: BackupStore;
beforeEach(async () => {
  root = await temporaryFolder();
  store = await openStore(path.join(root, 'store'), { s3Endpoint: '' });
});
afterEach(async () => {
  await store.close();
  await rm(root, { recursive: true, force: true });
});

describe('a backup in a folder', () => {
  it('is good, and refused with any part, folder or manifest behind a link, though it leads to the very bytes', async () => {
    const { place } = await writeBackup({ store });
    const verify = () => verifyBackup(place, { trustedKeys });
    expect(await verify()).toMatchObject({ ok: true, errors: [] });

    const folder = path.join(root, 'store', TENANT, BACKUP);
    const away = path.join(root, 'away');
    await cp(folder, away, { recursive: true });
    const names = await readdir(folder, { recursive: true });
    expect(names.length).toBeGreaterThan(15);
    for (const name of names) {
      const [at, aside] = [path.join(folder, name), path.join(root, 'aside')];
      await rename(at, aside);
      await symlink(path.join(away, name), at);
      const verdict = await verify();
      expect(verdict).toMatchObject({ ok: false, parts: 0 });
      expect(verdict.errors.length).toBeGreaterThan(0);
      await rm(at);
      await rename(aside, at);
    }
    expect(await verify()).toMatchObject({ ok: true });
  });

  it('is refused with a file beside its parts, and does not see its neighbours', async () => {
    const { place } = await writeBackup({ store });
    await writeBackup({ store, backup: parseBackupId('20261127T154500Z-00000001') });
    expect(await verifyBackup(place, { trustedKeys })).toMatchObject({ ok: true, parts: 11 });
    await mkdir(path.join(root, 'store', TENANT, BACKUP, 'more'));
    await writeFile(path.join(root, 'store', TENANT, BACKUP, 'more', 'file'), 'x');
    expect(await verifyBackup(place, { trustedKeys })).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('more/file is no part of the backup') as string],
    });
  });
});
