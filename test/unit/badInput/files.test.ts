import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signManifest, verifyManifest } from '../../../src/backup/format/manifest.js';
import { isPartPath } from '../../../src/domain/backupParts.js';
import { PART_KINDS } from '../../../src/domain/backups.js';
import { OpsError } from '../../../src/domain/errors.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { parseSourcePlaces } from '../../../src/domain/sourcePlaces.js';
import { ListReader } from '../../../src/sources/list.js';
import { ANYWHERE, type Reach, reachOf } from '../../../src/sources/reach.js';
import { resolveVideo } from '../../../src/video/discover.js';
import { readSidecar } from '../../../src/video/sidecar.js';
import { FOREIGN, POISON, expectRefusal, share } from '../../support/badInput/texts.js';
import { MemoryStore } from '../../support/memoryStore.js';
import { collect, temporaryFolder } from '../../support/videos.js';
import { signingKey, trustedKeys, writeBackup } from '../backup/formatFixtures.js';

const folder = await temporaryFolder();
afterAll(() => rm(folder, { recursive: true }));
const at = (name: string) => path.join(folder, name);
/** Two tenants' folders; in the first a link into the second. */
const [own, theirs] = [at('acme'), at('globex')];
beforeAll(async () => {
  await Promise.all([own, theirs].map((each) => mkdir(each)));
  await writeFile(path.join(own, 'mine.mp4'), 'mine');
  await writeFile(path.join(theirs, 'secret.mp4'), 'theirs');
  await symlink(theirs, path.join(own, 'out'));
});

const words = fc.oneof(
  fc.constantFrom(...POISON, ...FOREIGN),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '/etc/passwd/x',
    '../'.repeat(50),
    'a'.repeat(9000),
    'a/'.repeat(3000),
    '%2e%2e/%2e%2e',
    '\\\\host\\share',
  ),
);

describe('a list of videos', () => {
  const content = fc.oneof(
    fc.array(words, { maxLength: 8 }).map((lines) => Buffer.from(lines.join('\n'))),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );

  /** Everything that a list leads to, opened and read. */
  async function readBy(bytes: Buffer, reach: Reach): Promise<string[]> {
    const list = path.join(own, 'list.txt');
    await writeFile(list, bytes);
    const reader = new ListReader(list, reach);
    const read: string[] = [];
    for (const { path: name } of (await collect(reader.list({ fingerprints: false }))).flat())
      try {
        await using opened = await reader.open(name);
        // A line may name what is there and no file, as `..` does.
        if ((await stat(opened.file)).isFile()) read.push(await readFile(opened.file, 'utf8'));
      } catch (error) {
        // A link out of one's places is found where it is opened.
        if (reach === ANYWHERE) expectRefusal(error, 'Rejected');
        else expect(error).toBeInstanceOf(OpsError);
      }
    return read;
  }

  it('whatever is in it, names files that are not there, one by one, and ends nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(content, async (bytes) => void (await readBy(bytes, ANYWHERE))),
      share(2),
    );
  });

  it('of a tenant leads to nothing of another, however it is spelled', async () => {
    const [mine, secret] = [path.join(own, 'mine.mp4'), path.join(theirs, 'secret.mp4')];
    const name = path.relative(own, secret);
    const toSecret = fc.oneof(
      fc.constantFrom(secret, name, `./${name}`, `x/../${name}`, `${own}/${name}`, `/${secret}`),
      fc.constantFrom('out/secret.mp4', `${own}/out/secret.mp4`, 'out/../out/secret.mp4'),
      fc.nat(name.length).map((cut) => `${name.slice(0, cut)}/./${name.slice(cut)}`),
      fc
        .tuple(fc.constantFrom(...POISON), fc.nat(60))
        .map(([p, cut]) => secret.slice(0, cut) + p + secret.slice(cut)),
    );
    const reach = reachOf(parseSourcePlaces([`${folder}/{tenant}/`]), parseTenantId(path.basename(own)));
    expect(await readBy(Buffer.from('mine.mp4'), reach)).toEqual(['mine']);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(toSecret, words), { minLength: 1, maxLength: 4 }), async (lines) => {
        const read = await readBy(Buffer.from([mine, ...lines].join('\n')), reach).catch((error: unknown) => {
          expectRefusal(error, 'PermissionDenied');
          return [];
        });
        // The list itself lies there as well.
        expect(read).not.toContain('theirs');
      }),
      share(2),
    );
  });
});

describe('a name in a folder', () => {
  const outside = fc
    .tuple(fc.constantFrom('..', '../..', 'x/../..', './../x', '../../etc/passwd', 'x/../../y'), words)
    .map(([up, name]) => `${up}/${name}`);

  it('never leads out of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(outside, words), async (name) => {
        const file = await resolveVideo(folder, name).catch((error: unknown) => {
          expectRefusal(error, 'Rejected');
          return folder;
        });
        expect(path.relative(folder, file).startsWith('..')).toBe(false);
      }),
      share(4),
    );
  });
});

describe('a side-car', () => {
  const notText = fc.constantFrom<unknown>(1, true, [], {}, [1], ['x'], [{ start: 0 }]);
  const cue = { start: 0, end: 1, text: 'x' };
  const brokenCue = fc.constantFrom<unknown>(
    ...[null, 1, 'x', [], {}],
    ...(['start', 'end', 'text'] as const).flatMap((name) =>
      [null, {}, 'x1', NaN].map((value) => ({
        ...cue,
        [name]: name === 'text' && value === 'x1' ? 1 : value,
      })),
    ),
  );
  const badJson = fc.oneof(
    fc.constantFrom(
      '',
      '{',
      'null',
      '[]',
      '"x"',
      '1',
      '{"title":}',
      "{'title':'x'}",
      '{"title":1}',
      '{"title":null}',
      '\ufeff{',
    ),
    fc
      .tuple(
        fc.constantFrom('transcript', 'description'),
        notText.filter((value) => !(Array.isArray(value) && value.length === 0)),
      )
      .map(([name, value]) => JSON.stringify({ [name]: value })),
    brokenCue.map((broken) => JSON.stringify({ transcript: [cue, broken] })),
  );

  it('of JSON that is not what it should be is refused with a reason', async () => {
    await fc.assert(
      fc.asyncProperty(badJson, async (json) => {
        await writeFile(at('clip.json'), json);
        const read = await readSidecar(at('clip.mp4')).catch((error: unknown) => {
          expectRefusal(error, 'Rejected');
          return undefined;
        });
        expect(read, json).toBeUndefined();
      }),
      share(3),
    );
  });

  it('of any bytes at all is refused, or is text', async () => {
    const cues = fc.array(
      fc.oneof(
        fc.constantFrom(
          'WEBVTT',
          '00:00.000 --> 99:99:99.999',
          '-1 --> 1',
          '00:00 --> ',
          '<v'.repeat(99),
          '',
        ),
        words,
      ),
    );
    const bytes = fc.oneof(
      cues.map((lines) => Buffer.from(lines.join('\n'))),
      fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        await writeFile(at('said.vtt'), content);
        const read = await readSidecar(at('said.mp4')).catch((error: unknown) => {
          expectRefusal(error, 'Rejected');
          return undefined;
        });
        expect(typeof (read?.transcriptAt(0, 1e9) ?? '')).toBe('string');
      }),
      share(3),
    );
  });
});

describe('a backup', () => {
  const manifest = writeBackup({ store: new MemoryStore() }).then((made) =>
    Buffer.from(signManifest(made.manifest, signingKey)),
  );

  it('whose manifest has any other bytes is none, and reading it throws nothing', async () => {
    const whole = await manifest;
    expect(verifyManifest(whole, trustedKeys).ok).toBe(true);
    const changes = fc.oneof(
      fc
        .tuple(fc.nat(whole.length - 1), fc.uint8Array({ maxLength: 9 }))
        .map(([from, put]) =>
          Buffer.concat([whole.subarray(0, from), put, whole.subarray(from + put.length)]),
        ),
      fc
        .tuple(fc.nat(whole.length), words)
        .map(([from, text]) =>
          Buffer.concat([whole.subarray(0, from), Buffer.from(text), whole.subarray(from)]),
        ),
      fc.nat(whole.length - 1).map((length) => whole.subarray(0, length)),
      fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      words.map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(changes, (bytes) => {
        fc.pre(!bytes.equals(whole));
        expect(verifyManifest(bytes, trustedKeys).ok).toBe(false);
      }),
      share(4),
    );
  });

  it('has no part of another name than those it writes', () => {
    const base = 'video_colpali_smol500_mv_frame';
    const paths = fc.oneof(
      words,
      fc
        .tuple(fc.constantFrom('documents', 'traces', 'memory', `documents/${base}`, '..', ''), words)
        .map((each) => each.join('/')),
      fc.tuple(fc.constantFrom(...POISON, '../', './', '/'), fc.nat(60)).map(([poison, at]) => {
        const path = `documents/${base}/part-00000.jsonl.zst`;
        return path.slice(0, at) + poison + path.slice(at);
      }),
    );
    expect(isPartPath(`documents/${base}/part-00000.jsonl.zst`, 'documents', base)).toBe(true);
    fc.assert(
      fc.property(paths, fc.constantFrom(...PART_KINDS), (name, kind) => {
        const isOfBase = kind === 'documents' || kind === 'schema';
        expect(isPartPath(name, kind, ...(isOfBase ? ([base] as const) : []))).toBe(false);
      }),
      share(3),
    );
  });
});
