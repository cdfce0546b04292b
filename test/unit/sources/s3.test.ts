import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SourceEntry } from '../../../src/sources/reader.js';
import { s3Client } from '../../../src/sources/s3/client.js';
import { download } from '../../../src/sources/s3/download.js';
import { SidecarWindow, objectsFingerprint } from '../../../src/sources/s3/listing.js';
import { decodeKey } from '../../../src/sources/s3/pages.js';
import { ANYWHERE } from '../../../src/sources/reach.js';
import { S3Reader } from '../../../src/sources/s3/reader.js';
import { Scratch } from '../../../src/sources/scratch.js';
import { type S3Server, startS3 } from '../../support/s3.js';
import { collect, temporaryFolder } from '../../support/videos.js';

let s3: S3Server;
let temporary: string;
function credentials(): void {
  vi.unstubAllEnvs();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'tests');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'never-to-be-shown');
}
beforeAll(async () => {
  credentials();
  s3 = await startS3('clips', 'many', 'odd');
  temporary = await temporaryFolder();
});
afterEach(() => {
  s3.fault = () => undefined;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await s3.stop();
});

const reader = (bucket: string, prefix = '') =>
  new S3Reader({ bucket, prefix }, s3.client, new Scratch(temporary), ANYWHERE);
const list = async (bucket: string, prefix = ''): Promise<SourceEntry[]> =>
  (await collect(reader(bucket, prefix).list({ fingerprints: true }))).flat();
const names = async (bucket: string, prefix = '') => (await list(bucket, prefix)).map(({ path }) => path);
/** Everything that downloads have left in the temporary folder. */
const left = async () =>
  (await readdir(temporary, { recursive: true })).filter((name) => name.includes(`${path.sep}v-`));
const isVideo = (request: { url?: string | undefined }) => request.url?.includes('.mp4') === true;

describe('listing', () => {
  it('reads 2,500 objects page by page, and only the videos of the prefix', async () => {
    const keys = Array.from({ length: 2500 }, (_, i) => `day/${String(i).padStart(4, '0')}.mp4`);
    const others = ['day/notes.txt', 'day/0001.vtt', 'day/._0001.mp4', 'day/x.mp4/', 'night/0001.mp4'];
    await s3.fill('many', keys);
    for (const key of others) await s3.put('many', key, 'x');
    s3.seen.length = 0;
    const pages = await collect(reader('many', 'day/').list({ fingerprints: false }));
    expect(pages.flat().map((entry) => entry.path)).toEqual(keys.map((key) => `s3://many/${key}`));
    expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(1000);
    expect(s3.seen).toHaveLength(3);
  });

  it('names and opens keys with spaces, quotes, newlines, emoji and what URLs and XML escape', async () => {
    const keys = [
      'a b.mp4',
      `q'"q.mp4`,
      'new\nline.mp4',
      '🎬.MP4',
      'a&<b>.mp4',
      '50%+20%2F.mp4',
      'x/../y.mp4',
    ];
    for (const key of keys) await s3.put('odd', key, `of ${key}`);
    expect((await names('odd')).toSorted()).toEqual(keys.map((key) => `s3://odd/${key}`).toSorted());
    for (const key of keys.filter((k) => !k.includes('..'))) {
      await using opened = await reader('odd').open(`s3://odd/${key}`);
      expect(await readFile(opened.file, 'utf8')).toBe(`of ${key}`);
    }
  });

  it('reads keys that XML cannot hold, as Amazon encodes them', async () => {
    const Key = 'tab%09+a+%2B%F0%9F%8E%AC%01.mp4';
    s3.fault = () => ({
      body: `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>${Key}</Key><Size>1</Size><ETag>"e"</ETag></Contents></ListBucketResult>`,
    });
    expect(await names('odd')).toEqual(['s3://odd/tab\t a +🎬\u0001.mp4']);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (key) => {
        expect(decodeKey(encodeURIComponent(key).replaceAll('%20', '+'), 'url')).toBe(key);
        expect(decodeKey(key, undefined)).toBe(key);
      }),
    );
  });

  it.each([
    ['no such bucket', 404, 'NoSuchBucket', 'NotFound', /no bucket/],
    ['a bucket that may not be listed', 403, 'AccessDenied', 'PermissionDenied', /not let bucket/],
    ['wrong credentials', 403, 'InvalidAccessKeyId', 'PermissionDenied', /does not accept/],
    ['a wrong secret', 403, 'SignatureDoesNotMatch', 'PermissionDenied', /does not accept/],
    ['another region', 400, 'AuthorizationHeaderMalformed', 'InvalidInput', /another region/],
  ])('refuses %s, saying what to do, and no secret', async (_, status, code, type, message) => {
    s3.fault = () => ({ status, code, headers: { 'x-amz-bucket-region': 'eu-north-1' } });
    const refused = await list('clips').catch((error: unknown) => error as Error);
    expect(refused).toMatchObject({
      type,
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
    expect(JSON.stringify(refused)).not.toMatch(/never-to-be-shown|secret-in-a-message/);
    if (type === 'InvalidInput')
      expect(refused).toMatchObject({ hint: expect.stringContaining('eu-north-1') });
  });

  it('without credentials, or without a region, says what to set', async () => {
    const nothing = {
      AWS_ACCESS_KEY_ID: '',
      AWS_PROFILE: '',
      AWS_REGION: '',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
    const files = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
    for (const [name, value] of Object.entries({ ...nothing, ...files })) vi.stubEnv(name, value);
    const refusal = async (s3Endpoint: string) => {
      const bare = new S3Reader(
        { bucket: 'clips', prefix: '' },
        s3Client({ s3Endpoint }, {}),
        new Scratch(),
        ANYWHERE,
      );
      return collect(bare.list({ fingerprints: false })).catch((error: unknown) => error);
    };
    expect(await refusal(s3.endpoint)).toMatchObject({
      type: 'PermissionDenied',
      message: 'no credentials for S3',
    });
    for (const region of ['', undefined]) {
      vi.stubEnv('AWS_REGION', region);
      expect(await refusal('')).toMatchObject({
        type: 'InvalidInput',
        message: 'no region for S3, or no valid one',
      });
    }
    credentials();
  });

  it('is tried again by the SDK when throttled', async () => {
    await s3.put('clips', 'one.mp4', 'x');
    let times = 0;
    s3.fault = () => (times++ < 2 ? { status: 503, code: 'SlowDown' } : undefined);
    expect(await names('clips', 'one')).toEqual(['s3://clips/one.mp4']);
  });
});

describe('fingerprints', () => {
  it('are the same when listed and when opened, and change with the video and each side-car', async () => {
    const key = 'f/clip.mp4';
    const marks = new Set<string>();
    const look = async () => {
      const [entry] = await list('clips', 'f/');
      await using opened = await reader('clips').open(entry!.path);
      expect(opened.fingerprint).toBe(entry!.fingerprint);
      marks.add(entry!.fingerprint!);
    };
    const steps = [
      [key, '1'],
      ['f/clip.json', '{}'],
      ['f/clip.srt', 's'],
      ['f/clip.vtt', 'v'],
    ] as const;
    for (const [name, body] of steps) {
      await s3.put('clips', name, body);
      await look();
    }
    await s3.put('clips', 'f/clip.other.vtt', 'not its own');
    await look();
    await s3.put('clips', key, '2');
    await look();
    expect(marks.size).toBe(5);
  });

  it('of a listing in order are those that one look at all keys gives', () => {
    const stem = fc.stringMatching(/^(a|b|a\.b|a\.m|a\.x\.y|B|é|😀)(-1)?$/);
    const suffix = fc.constantFrom('.mp4', '.MP4', '.mP4', '.json', '.srt', '.vtt', '.txt', '.n', '');
    const keys = fc.uniqueArray(
      fc.tuple(stem, suffix).map((parts) => parts.join('')),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(keys, (unordered) => {
        const ordered = unordered.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const window = new SidecarWindow();
        const found = [...ordered.flatMap((key) => window.push({ key, mark: key })), ...window.end()];
        const expected = ordered
          .filter((key) => /\.mp4$/i.test(key))
          .map((key) => {
            const own = ['.vtt', '.srt', '.json'].map((s) => [s, key.replace(/\.[^.]*$/, s)] as const);
            const there = own.filter(([, sidecar]) => ordered.includes(sidecar));
            return { key, fingerprint: objectsFingerprint(key, new Map(there)) };
          });
        const sorted = (videos: readonly { key: string }[]) =>
          videos.toSorted((a, b) => (a.key < b.key ? -1 : 1));
        expect(sorted(found)).toEqual(sorted(expected));
      }),
      { numRuns: 500 },
    );
  });
});

describe('opening', () => {
  const body = randomBytes(300_000);
  beforeAll(async () => {
    await s3.put('clips', 'v/big.mp4', body);
    await s3.put('clips', 'v/big.vtt', 'WEBVTT');
    await s3.put('clips', 'v/big.json', '{}');
  });
  const open = () => reader('clips').open('s3://clips/v/big.mp4');

  it('gives the video with its side-cars beside it, nobody else’s, and takes them away', async () => {
    let folder: string;
    {
      await using opened = await open();
      expect(body.equals(await readFile(opened.file))).toBe(true);
      folder = path.dirname(opened.file);
      expect((await readdir(folder)).toSorted()).toEqual(['video.json', 'video.mp4', 'video.vtt']);
      for (const there of [folder, path.dirname(folder)])
        expect((await stat(there)).mode & 0o777).toBe(0o700);
    }
    expect(existsSync(folder)).toBe(false);
  });

  it('goes on where it was cut off, under the same ETag', async () => {
    let cuts = 0;
    s3.fault = (request) => (isVideo(request) && cuts++ < 3 ? { cutAfter: 20_000 } : undefined);
    await using opened = await open();
    expect(body.equals(await readFile(opened.file))).toBe(true);
    expect(cuts).toBe(4);
  });

  it('goes on where the server went silent', async () => {
    let times = 0;
    s3.fault = () => (times++ === 0 ? { stallAfter: 20_000 } : undefined);
    const file = path.join(await temporaryFolder(), 'a');
    const at = { Bucket: 'clips', Key: 'v/big.mp4' };
    expect(await download(s3.client, at, file, { stallMs: 200 })).toMatchObject({ size: body.length });
    expect(body.equals(await readFile(file))).toBe(true);
  });

  it('does not join two versions of an object that changed in between', async () => {
    await s3.put('clips', 'v/changing.mp4', body);
    let cut = false;
    s3.fault = (request) => {
      if (!isVideo(request) || cut) return undefined;
      cut = true;
      void s3.put('clips', 'v/changing.mp4', 'new');
      return { cutAfter: 20_000 };
    };
    await expect(reader('clips').open('s3://clips/v/changing.mp4')).rejects.toThrow(
      'changed while it was read',
    );
    expect(await left()).toEqual([]);
  });

  it('ends, as something that may pass, when each attempt is cut off before a byte', async () => {
    s3.fault = (request) => (isVideo(request) ? { cutAfter: 0 } : undefined);
    const failed = await open().catch((error: unknown) => error);
    expect(failed).toMatchObject({
      name: 'Error',
      message: expect.stringContaining('cut it off at byte 0 of 300000'),
    });
    expect(await left()).toEqual([]);
  });

  it('rejects an object that was deleted since it was listed', async () => {
    await s3.put('clips', 'gone/a.mp4', 'x');
    const [entry] = await list('clips', 'gone/');
    await s3.client.send(new DeleteObjectCommand({ Bucket: 'clips', Key: 'gone/a.mp4' }));
    await expect(reader('clips').open(entry!.path)).rejects.toMatchObject({
      type: 'Rejected',
      message: 'unreadable: no such object',
    });
    expect(await left()).toEqual([]);
  });

  it.each([
    [403, 'AccessDenied', { type: 'PermissionDenied', hint: expect.stringContaining('s3:GetObject') }],
    [403, 'InvalidObjectState', { type: 'Rejected', message: 'unreadable: archived' }],
    [403, 'ExpiredToken', { name: 'ExpiredToken' }],
  ])('says of %d %s what it is', async (status, code, expected) => {
    s3.fault = (request) => (isVideo(request) ? { status, code } : undefined);
    await expect(open()).rejects.toMatchObject(expected);
    expect(await left()).toEqual([]);
  });

  it('refuses a side-car that is too large by name, and another bucket’s path', async () => {
    await s3.put('clips', 'large/a.mp4', 'x');
    await s3.put('clips', 'large/a.srt', Buffer.alloc((8 << 20) + 1));
    const large = reader('clips').open('s3://clips/large/a.mp4');
    await expect(large).rejects.toMatchObject({
      type: 'Rejected',
      message: expect.stringMatching(/^\.srt beside it: larger/),
    });
    await expect(reader('clips').open('s3://odd/a b.mp4')).rejects.toMatchObject({ type: 'Rejected' });
  });

  it('ends with its signal, leaving nothing', async () => {
    const controller = new AbortController();
    s3.fault = (request) => {
      if (isVideo(request)) controller.abort(new Error('enough'));
      return undefined;
    };
    await expect(reader('clips').open('s3://clips/v/big.mp4', controller.signal)).rejects.toThrow();
    expect(await left()).toEqual([]);
  });
});
