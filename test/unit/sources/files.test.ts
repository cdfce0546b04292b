import { mkdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseSource, sourceText } from '../../../src/domain/sources.js';
import { LONGEST_RECORD } from '../../../src/sources/listRecords.js';
import { ANYWHERE } from '../../../src/sources/reach.js';
import { SOURCE_PAGE, type VideoSourceReader } from '../../../src/sources/reader.js';
import { Sources } from '../../../src/sources/sources.js';
import { collect, temporaryFolder } from '../../support/videos.js';

let root: string;
beforeEach(async () => {
  root = await temporaryFolder();
});

const sources = new Sources({ s3Endpoint: '' });
const file = async (name: string, body: string | Buffer = 'x') => {
  await mkdir(path.dirname(path.join(root, name)), { recursive: true });
  await writeFile(path.join(root, name), body);
};
async function listed(body: string | Buffer): Promise<string[]> {
  await file('the.list', body);
  const reader = await sources.reader(`list:${root}/the.list`, ANYWHERE);
  return (await collect(reader.list({ fingerprints: false }))).flat().map((entry) => entry.path);
}

describe('parseSource', () => {
  const path = fc.string({ unit: 'grapheme', maxLength: 60 }).map((rest) => `/${rest.replaceAll('\0', '')}`);
  it('reads back what sourceText writes, and writes back what it read', () => {
    const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,20}[a-z0-9]$/);
    const source = fc.oneof(
      fc.record({ kind: fc.constantFrom('folder' as const, 'list' as const), path }),
      fc.record({ kind: fc.constant('s3' as const), bucket, prefix: path.map((p) => p.slice(1)) }),
    );
    fc.assert(
      fc.property(source, (made) => {
        expect(parseSource(sourceText(made))).toEqual(made);
        expect(sourceText(parseSource(sourceText(made)))).toBe(sourceText(made));
      }),
    );
    expect(sourceText(parseSource('s3://clips'))).toBe('s3://clips/');
  });

  it.each([
    '',
    'videos',
    './videos',
    'list:',
    'list:videos',
    's3://',
    's3:///x',
    's3://A/x',
    's3://a..b/x',
    's3://x',
    'http://clips/x',
    'list:s3://clips/x',
    '/a\0b',
    '/\ud800',
    `/${'a'.repeat(4096)}`,
  ])('refuses %j', (text) => {
    expect(() => parseSource(text)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
  });
});

describe('a list', () => {
  it('holds a path a line, of any system’s lines; blank lines and comments are left out', async () => {
    const body = '\ufeffa.mp4\r\n\n# x.mp4\n   \n b .mp4\nday 1/été 🎬.MP4\n#not.mp4\n./#named.mp4';
    expect(await listed(body)).toEqual(['a.mp4', ' b .mp4', 'day 1/été 🎬.MP4', '#named.mp4']);
  });

  it('holds records between zero bytes when there is one, names with newlines too', async () => {
    expect(await listed('./new\nline.mp4\0# x.mp4\0\0./a.mp4\0')).toEqual([
      'new\nline.mp4',
      '# x.mp4',
      'a.mp4',
    ]);
  });

  it('names one file in one way, relative to the list’s folder where it is below', async () => {
    const lines = ['a.mp4', './a.mp4', 'x/../a.mp4', `${root}/a.mp4`, '../out.mp4', '/elsewhere/../b.mp4'];
    const out = path.join(path.dirname(root), 'out.mp4');
    expect(await listed(lines.join('\n'))).toEqual(['a.mp4', 'a.mp4', 'a.mp4', 'a.mp4', out, '/b.mp4']);
  });

  it('gives back any names that find could write', async () => {
    const name = fc
      .string({ unit: fc.constantFrom(...'ab é🎬#\n\r\t"\'\\-'), minLength: 1, maxLength: 12 })
      .map((text) => `${text}.mp4`);
    await fc.assert(
      fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 20 }), async (names) => {
        expect(await listed(names.map((n) => `./${n}\0`).join(''))).toEqual(names);
        const lines = names.filter((n) => !/[\r\n]/.test(n));
        expect(await listed(lines.map((n) => `./${n}\n`).join(''))).toEqual(lines);
      }),
      { numRuns: 50 },
    );
  });

  it('of very many lines is read page by page, and of one without an end no more than a path has', async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => `/videos/of/the/archive/${i}.mp4\n`).join('');
    await file('long.list', lines + 'x'.repeat(16 << 20));
    const reader = await sources.reader(`list:${root}/long.list`, ANYWHERE);
    let [count, longest, most] = [0, 0, 0];
    for await (const page of reader.list({ fingerprints: false })) {
      count += page.length;
      most = Math.max(most, page.length);
      longest = page.at(-1)!.path.length;
    }
    expect([count, most]).toEqual([50_001, SOURCE_PAGE]);
    expect(longest).toBeLessThanOrEqual(root.length + 1 + LONGEST_RECORD);
  });

  it('opens what it names, wherever it is, and says of each other line what is wrong with it', async () => {
    const elsewhere = await temporaryFolder();
    await writeFile(path.join(elsewhere, 'there.mp4'), 'there');
    await symlink(elsewhere, path.join(root, 'link'));
    const reader = await sources.reader(`list:${root}/the.list`, ANYWHERE);
    for (const name of [path.join(elsewhere, 'there.mp4'), 'link/there.mp4']) {
      await using opened = await reader.open(name);
      expect(await readFile(opened.file, 'utf8')).toBe('there');
    }
    const reasons: [string | Buffer, string][] = [
      ['gone.mp4', 'no such file, or a link to nothing'],
      ['x'.repeat(10_000), 'its name is too long'],
      [Buffer.from([0x63, 0xe9, 0x2e]), 'its name is not UTF-8'],
    ];
    for (const [line, why] of reasons) {
      const [name] = await listed(line);
      await expect(reader.open(name!)).rejects.toMatchObject({
        type: 'Rejected',
        message: `unreadable: ${why}`,
      });
    }
  });

  it.each([
    ['gone.list', /^no such list/],
    ['', /^the list is not a file/],
  ])('that is %j is refused', async (name, message) => {
    const reader = await sources.reader(`list:${root}/${name}`, ANYWHERE);
    await expect(collect(reader.list({ fingerprints: false }))).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });
});

describe('a folder', () => {
  it('of more than a page comes in pages, in order', async () => {
    const names = Array.from({ length: SOURCE_PAGE + 1 }, (_, i) => `${1e6 + i}.mp4`);
    for (const name of names) await file(name);
    const reader = await sources.reader(root, ANYWHERE);
    const pages = await collect(reader.list({ fingerprints: false }));
    expect(pages.map((page) => page.length)).toEqual([SOURCE_PAGE, 1]);
    expect(pages.flat().map((entry) => entry.path)).toEqual(names);
  });

  it('lists in the order of whole paths, whatever the names', async () => {
    const name = fc.stringMatching(/^[aA.b-]{1,3}$/).filter((n) => !/^\.+$/.test(n));
    const paths = fc.uniqueArray(fc.tuple(fc.array(name, { maxLength: 2 }), name), { maxLength: 12 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(paths, async (made) => {
        const below = `r${round++}`;
        for (const [folders, last] of made) {
          // A name cannot be both a folder and a file: folders get a mark of their own.
          const relative = [...folders.map((f) => `${f}_`), `${last}.mp4`].join('/');
          await file(`${below}/${relative}`);
        }
        await mkdir(path.join(root, below), { recursive: true });
        const reader = await sources.reader(path.join(root, below), ANYWHERE);
        const found = (await collect(reader.list({ fingerprints: false }))).flat().map((e) => e.path);
        expect(found).toEqual(found.toSorted((a, b) => (a < b ? -1 : 1)));
        expect(new Set(found).size).toBe(found.length);
      }),
      { numRuns: 40 },
    );
  });
});

describe('fingerprints of files', () => {
  const readers: [string, () => Promise<VideoSourceReader>][] = [
    ['folder', () => sources.reader(root, ANYWHERE)],
    ['list', () => sources.reader(`list:${root}/the.list`, ANYWHERE)],
  ];
  it.each(readers)(
    'of a %s are the same listed and opened, and change with the video and its side-cars',
    async (_, make) => {
      await file('the.list', 'clip.mp4\ngone.mp4\n');
      const reader = await make();
      const marks = new Set<string>();
      const look = async () => {
        const entries = (await collect(reader.list({ fingerprints: true }))).flat();
        const clip = entries.find((entry) => entry.path === 'clip.mp4');
        await using opened = await reader.open('clip.mp4');
        expect(opened.fingerprint).toBe(clip!.fingerprint);
        expect(entries.find((entry) => entry.path === 'gone.mp4')?.fingerprint).toBeUndefined();
        marks.add(opened.fingerprint!);
      };
      for (const name of ['clip.mp4', 'clip.vtt', 'clip.srt', 'clip.json', 'other.vtt']) {
        await file(name);
        await look();
      }
      expect(marks.size).toBe(4);
      // Same size, another time: what a copy over it leaves.
      await utimes(path.join(root, 'clip.mp4'), 1, 1);
      await look();
      expect(marks.size).toBe(5);
    },
  );
});
