import { execFile } from 'node:child_process';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SYSTEM_CONFIG } from '../../../src/domain/config/keys.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { loadSettings } from '../../../src/settings.js';
import { referenceRulesOf } from '../../../src/tenants/referenceRules.js';
import { readTenantSecret } from '../../../src/tenants/references.js';
import { temporaryFolder } from '../../support/videos.js';

const tenant = parseTenantId('acme');
const DENIED = expect.objectContaining({ type: 'PermissionDenied', hint: expect.any(String) });
const REFUSED = expect.objectContaining({ type: 'InvalidInput' });

let root: string;
const at = (name: string) => path.join(root, name);
const file = async (name: string) => {
  await mkdir(path.dirname(at(name)), { recursive: true });
  await writeFile(at(name), `text of ${name}\n`);
};
/** With the settings of an installation that has its system token in a file. */
const read = (reference: string, vouched = false) => {
  const env = {
    CVOPS_HOME: at('home'),
    CVOPS_SECRET_PLACES: `file:${root}/tenants/{tenant}/,env:TENANT_{tenant}__`,
    CVOPS_SYSTEM_TOKEN: `file:${root}/run/system`,
    CVOPS_BACKUP_KEY: 'env:KEY_OF_BACKUPS',
  };
  return readTenantSecret(referenceRulesOf(loadSettings(env), env), tenant, {
    key: SYSTEM_CONFIG,
    config: { value: { llm_api_key: reference }, vouched: vouched ? ['llm_api_key'] : [] },
    path: 'llm_api_key',
    what: 'the key',
  });
};

afterEach(() => {
  vi.unstubAllEnvs();
});
beforeEach(async () => {
  root = await temporaryFolder();
  for (const name of ['tenants/acme/llm', 'tenants/acme_b/llm', 'run/system', 'shared', 'home/keys/k'])
    await file(name);
});

describe('a reference', () => {
  it('in the tenant’s place is read, from a mounted secret’s links too, whoever set it', async () => {
    await symlink('..2026_11_28', at('tenants/acme/..data'));
    await file('tenants/acme/..2026_11_28/mounted');
    await symlink('..data/mounted', at('tenants/acme/mounted'));
    expect(await read(`file:${at('tenants/acme/mounted')}`)).toBe(
      'text of tenants/acme/..2026_11_28/mounted',
    );
    for (const vouched of [true, false])
      expect(await read(`file:${at('tenants/acme/llm')}`, vouched)).toBe('text of tenants/acme/llm');
    vi.stubEnv('TENANT_acme__LLM', 'of the environment');
    expect(await read('env:TENANT_acme__LLM')).toBe('of the environment');
  });

  it('that a link leads out of the place is refused, also where an administrator set it', async () => {
    for (const [name, to] of Object.entries({
      out: 'run/system',
      theirs: 'tenants/acme_b/llm',
      other: 'shared',
    })) {
      await symlink(at(to), at(`tenants/acme/${name}`));
      for (const vouched of [true, false])
        await expect(read(`file:${at(`tenants/acme/${name}`)}`, vouched), name).rejects.toEqual(DENIED);
    }
    await symlink(at('tenants/acme_b'), at('tenants/acme/folder'));
    await expect(read(`file:${at('tenants/acme/folder/llm')}`)).rejects.toEqual(DENIED);
    await symlink('/proc/self/environ', at('tenants/acme/environ'));
    await expect(read(`file:${at('tenants/acme/environ')}`)).rejects.toEqual(DENIED);
  });

  it('in the place is read also where the place itself is a link of the installation’s', async () => {
    await rename(at('tenants/acme'), at('disk2'));
    await symlink(at('disk2'), at('tenants/acme'));
    expect(await read(`file:${at('tenants/acme/llm')}`)).toBe('text of tenants/acme/llm');
  });

  it('elsewhere is read when an administrator answers for it, and else not', async () => {
    vi.stubEnv('SHARED_LLM', 'of everybody');
    for (const reference of [`file:${at('shared')}`, 'env:SHARED_LLM', `file:${at('tenants/acme_b/llm')}`]) {
      await expect(read(reference)).rejects.toEqual(DENIED);
      expect(await read(reference, true)).toMatch(/^(text of|of everybody)/);
    }
  });

  it('to the installation’s own is refused for everybody, by whatever name', async () => {
    vi.stubEnv('KEY_OF_BACKUPS', 'of all backups');
    await symlink(at('run/system'), at('alias'));
    await symlink(at('run'), at('folder'));
    for (const own of ['run/system', 'alias', 'folder/system', 'folder/../run/system', 'home/keys/k'])
      await expect(read(`file:${root}/${own}`, true), own).rejects.toEqual(REFUSED);
    for (const own of ['env:KEY_OF_BACKUPS', 'env:DATABASE_URL', 'file:/proc/self/environ'])
      await expect(read(own, true), own).rejects.toEqual(REFUSED);
  });

  it('to a pipe, a folder or nothing keeps nobody waiting', async () => {
    await promisify(execFile)('mkfifo', [at('tenants/acme/pipe')]);
    await expect(read(`file:${at('tenants/acme/pipe')}`)).rejects.toThrow(/pipe/);
    await mkdir(at('tenants/acme/folder'));
    for (const name of ['folder', 'none'])
      await expect(read(`file:${at(`tenants/acme/${name}`)}`)).rejects.toThrow(/EISDIR|ENOENT/);
  });
});
