import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { BackupManifest } from '../../../src/contracts/backup.js';
import { isPartPath, partPath } from '../../../src/domain/backupParts.js';
import { PART_KINDS, parseBackupId } from '../../../src/domain/backups.js';
import {
  keyEncryptionKey,
  loadKeyEncryptionKey,
  newDataKey,
  openDataKey,
} from '../../../src/backup/format/keys.js';
import { signManifest, verifyManifest } from '../../../src/backup/format/manifest.js';
import { MemoryStore } from '../../support/memoryStore.js';
import { BACKUP, FRAMES, TENANT, signingKey, trustedKeys, writeBackup } from './formatFixtures.js';

const { manifest } = await writeBackup({ store: new MemoryStore() });
const text = Buffer.from(signManifest(manifest, signingKey));

describe('a manifest', () => {
  it('is the same bytes each time, and read back as it was', () => {
    expect(signManifest(structuredClone(manifest), signingKey)).toBe(text.toString());
    expect(verifyManifest(text, trustedKeys)).toMatchObject({ ok: true, manifest });
  });

  it('is refused with any one bit changed, and under a key that is not trusted', () => {
    for (let bit = 0; bit < text.length * 8; bit += 61) {
      const changed = Buffer.from(text);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(verifyManifest(changed, trustedKeys).ok).toBe(false);
    }
    expect(verifyManifest(text, [generateKeyPairSync('ed25519').publicKey]).ok).toBe(false);
    expect(verifyManifest(Buffer.alloc(17 * 1024 * 1024, ' '), trustedKeys)).toMatchObject({
      errors: [expect.stringContaining('larger') as string],
    });
  });

  it.each<[string, (manifest: Mutable) => void]>([
    ['a schema without its text', (m) => remove(m, ({ kind }) => kind === 'schema')],
    ['a configuration without its part', (m) => remove(m, ({ kind }) => kind === 'config')],
    ['a part fewer', (m) => remove(m, ({ kind }) => kind === 'documents')],
    ['a part more', (m) => m.parts.push({ ...m.parts.find(({ kind }) => kind === 'videos')!, path: 'w' })],
    ['parts in another order', (m) => m.parts.reverse()],
    ['documents of a schema that is not there', (m) => m.schemas.pop()],
    ['a wrong sum', (m) => (m.schemas[0]!.documents += 1)],
    ['a wrong digest', (m) => (m.schemas[0]!.digest = 'ab'.repeat(32))],
    ['a wrong hash of a schema', (m) => (m.schemas[0]!.sha256 = 'ab'.repeat(32))],
    ['spans without a project', (m) => (m.traces = null)],
    ['one physical schema of two bases', (m) => (m.schemas[0]!.schema = m.schemas[1]!.schema)],
    ['fenced without a fence', (m) => (m.consistency.achieved = 'fenced')],
    ['settled by one pass', (m) => (m.consistency.passes = 1)],
    ['an end before the start', (m) => (m.endedAt = '2026-11-28T15:44:59.999Z')],
    ['a part above the limit', (m) => (m.parts[0]!.plainSize = 2 ** 33)],
    ['another version', (m) => ((m as { version: number }).version = 2)],
    ['a member that nobody knows', (m) => Object.assign(m.parts[0]!, { note: 'x' })],
    ['half a character', (m) => (m.template = '\ud800')],
  ])('is not signed of what contradicts itself: %s', (_, change) => {
    const changed = structuredClone<Mutable>(manifest);
    change(changed);
    expect(() => signManifest(changed, signingKey)).toThrow(/^no manifest/);
  });
});

describe('the paths of parts', () => {
  it('are told from all others', () => {
    for (const kind of PART_KINDS)
      for (const base of [undefined, FRAMES] as const)
        for (const index of [undefined, 0, 123_456] as const) {
          const name = { kind, ...(base && { base }), ...(index !== undefined && { index }) };
          let path: string;
          try {
            path = partPath(name);
          } catch {
            continue;
          }
          expect(isPartPath(path, kind, base)).toBe(true);
          for (const other of [
            `${path}x`,
            `../${path}`,
            `/${path}`,
            path.replace('0', '00'),
            path.toUpperCase(),
          ])
            expect(other !== path && isPartPath(other, kind, base)).toBe(false);
          expect(PART_KINDS.filter((candidate) => isPartPath(path, candidate, base))).toEqual([kind]);
        }
  });
});

describe('the keys of a backup', () => {
  const of = { tenant: TENANT, backup: BACKUP };
  const bytes = randomBytes(32);

  it('are read from a reference in hex or base64, and never shown', async () => {
    for (const encoding of ['hex', 'base64'] as const) {
      const key = await loadKeyEncryptionKey('env:K', { K: bytes.toString(encoding) });
      expect(key.id).toBe(keyEncryptionKey(bytes).id);
      expect(JSON.stringify(key) + String(key.secret)).not.toContain(bytes.toString(encoding));
    }
    for (const bad of ['secret', bytes.toString('hex').slice(2), bytes.toString('base64url')]) {
      const load = loadKeyEncryptionKey('env:K', { K: bad });
      await expect(load).rejects.toMatchObject({ type: 'InvalidInput' });
      await expect(load).rejects.not.toThrow(bad);
    }
  });

  it('open what they wrapped, of that backup alone', () => {
    const key = keyEncryptionKey(bytes);
    const { key: dataKey, encryption } = newDataKey(key, of);
    expect(openDataKey(key, encryption, of).secret.equals(dataKey.secret)).toBe(true);
    const another = { ...of, backup: parseBackupId('20261128T154500Z-00000000') };
    expect(() => openDataKey(key, encryption, another)).toThrow('not what was written');
    expect(newDataKey(key, of).key.secret.equals(dataKey.secret)).toBe(false);
  });
});

type Mutable = { -readonly [K in keyof BackupManifest]: BackupManifest[K] };

function remove(manifest: Mutable, where: (part: BackupManifest['parts'][number]) => boolean): void {
  manifest.parts.splice(manifest.parts.findIndex(where), 1);
}
