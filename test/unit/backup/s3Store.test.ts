import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openStore } from '../../../src/backup/store/open.js';
import { Requests } from '../../../src/backup/store/s3/requests.js';
import { S3Store } from '../../../src/backup/store/s3/store.js';
import type { BackupStore } from '../../../src/backup/store/store.js';
import { s3Client } from '../../../src/sources/s3/client.js';
import { inPieces, listed, place, read, s3World, slowly } from '../../support/backupStores.js';
import { type ChangeableAnswer, type Fault, type S3Server, startS3 } from '../../support/s3.js';
import { collect } from '../../support/videos.js';

let s3: S3Server;
let store: BackupStore;
let impatient: BackupStore;
let prefix: string;
let worlds = 0;
function credentials(): void {
  vi.unstubAllEnvs();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'tests');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'never-to-be-shown');
}
beforeAll(async () => {
  credentials();
  s3 = await startS3('backups');
});
beforeEach(async () => {
  prefix = `faults/${worlds++}`;
  s3.uploads.open.clear();
  ({ store } = await s3World(s3, 'backups', prefix));
  ({ store: impatient } = await s3World(s3, 'backups', prefix, 1));
});
afterEach(async () => {
  s3.fault = () => undefined;
  s3.uploads.pageSize = 1000;
  credentials();
  await store.close();
  await impatient.close();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await s3.stop();
});

const MiB = 1 << 20;
const at = place('acme/b/documents/part.zst');
const large = randomBytes(18 * MiB);
const small = randomBytes(300_000);
const bodies: readonly (readonly [string, Buffer])[] = [
  ['in one request', small],
  ['in parts', large],
];

/** Does something to the first requests of a kind, `times` of them. */
function faults(kind: RegExp, fault: Fault, times = Infinity): () => number {
  let done = 0;
  s3.fault = ({ method, url }: IncomingMessage) =>
    kind.test(`${method} ${url}`) && done < times ? (done++, fault) : undefined;
  return () => done;
}

const PUT = /^PUT/;
const GET = /^GET .*part/;
const COMPLETE = /^POST .*uploadId/;
const calls = (of: BackupStore): Readonly<Record<string, () => Promise<unknown>>> => ({
  's3:PutObject': () => of.put(at, Buffer.from('x')),
  's3:GetObject': () => read(of, at),
  's3:ListBucket': () => collect(of.list()),
  's3:DeleteObject': () => of.remove(at),
  's3:ListBucketMultipartUploads': () => of.sweep(place('acme'), 0),
});

describe('what may pass', () => {
  it.each<[number, string, string]>([
    [503, 'SlowDown', 'throttled'],
    [503, 'ServiceUnavailable', 'throttled'],
    [429, 'TooManyRequests', 'throttled'],
    [500, 'InternalError', 'silent'],
    [502, 'BadGateway', 'silent'],
    [504, 'GatewayTimeout', 'silent'],
    [400, 'RequestTimeout', 'silent'],
    [400, 'BadDigest', 'silent'],
    [400, 'ExpiredToken', 'silent'],
    [409, 'OperationAborted', 'silent'],
    [507, 'InsufficientStorage', 'full'],
    [403, 'QuotaExceeded', 'full'],
  ])('%d %s is told as %s of every call, without what the server wrote', async (status, code, how) => {
    s3.fault = () => ({ status, code });
    for (const call of [...Object.values(calls(impatient)), () => impatient.put(at, large)]) {
      const failed = await call().catch((error: unknown) => error);
      expect(failed).toMatchObject({ name: 'StoreUnavailable', how, message: expect.stringContaining(code) });
      expect(`${String(failed)} ${JSON.stringify(failed)}`).not.toMatch(
        /never-to-be-shown|secret-in-a-message/,
      );
    }
    s3.fault = () => undefined;
    expect(await listed(store)).toEqual([]);
    expect(s3.uploads.open.size).toBe(0);
  });

  it.each(bodies)('SlowDown, 500, resets and lost answers in a put %s are tried again', async (_, bytes) => {
    const one = bytes === small;
    const troubles: readonly Fault[] = [
      { status: 503, code: 'SlowDown' },
      { status: 500, code: 'InternalError' },
      { resetAfter: 100_000 },
      { loseAnswer: true },
    ];
    for (const trouble of troubles) {
      const times = faults(PUT, trouble, 1);
      await store.put(at, inPieces(bytes));
      expect(times()).toBe(1);
      expect(bytes.equals(await read(store, at))).toBe(true);
      await store.remove(at);
    }
    expect(s3.uploads.open.size).toBe(0);
    expect(s3.seen.some((line) => line.includes('partNumber=3'))).toBe(!one);
  });

  it('a lost answer to the last request of an upload is found out by what is there', async () => {
    const times = faults(COMPLETE, { loseAnswer: true }, 1);
    expect((await store.put(at, inPieces(large))).size).toBe(large.length);
    expect(times()).toBe(1);
    expect(large.equals(await read(store, at))).toBe(true);
  });

  it('an upload that was swept away meanwhile is told, and the former object stays', async () => {
    await store.put(at, small);
    const sweep = () => store.sweep(place('acme'), 0);
    await expect(store.put(at, slowly(17, sweep))).rejects.toMatchObject({
      name: 'StoreUnavailable',
      how: 'silent',
    });
    expect(small.equals(await read(store, at))).toBe(true);
  });

  it('a server that is gone, or says nothing for long', async () => {
    const settings = { attempts: 1, silentMs: 200 };
    const gone = new S3Store(s3Client({ s3Endpoint: 'http://127.0.0.1:9' }, {}, settings), {
      bucket: 'backups',
      prefix: '',
    });
    const hasty = new S3Store(s3Client({ s3Endpoint: s3.endpoint }, {}, settings), {
      bucket: 'backups',
      prefix,
    });
    await store.put(at, small);
    faults(/./, { stallAfter: 0 });
    for (const of of [gone, hasty])
      for (const call of Object.values(calls(of)))
        await expect(call()).rejects.toMatchObject({ name: 'StoreUnavailable', how: 'silent' });
  });

  it('waits no longer than its signal between two tries', async () => {
    const enough = new Error('enough');
    for (const action of Object.keys(calls(store))) {
      const controller = new AbortController();
      s3.fault = () => {
        setImmediate(() => controller.abort(enough));
        return { status: 503, code: 'SlowDown' };
      };
      const { signal } = controller;
      const call = {
        's3:PutObject': () => store.put(at, small, { signal }),
        's3:GetObject': () => read(store, at, { signal }),
        's3:ListBucket': () => collect(store.list(undefined, { signal })),
        's3:DeleteObject': () => store.remove(at, { signal }),
        's3:ListBucketMultipartUploads': () => store.sweep(place('acme'), 0, { signal }),
      }[action]!;
      await expect(call()).rejects.toBe(enough);
    }
  });
});

describe('a get', () => {
  beforeEach(() => store.put(at, small));

  it('goes on where it was cut off, by range and on condition of the same object', async () => {
    const conditions: unknown[] = [];
    let cuts = 0;
    s3.fault = ({ headers }) => {
      conditions.push([headers.range, headers['if-match'] !== undefined]);
      return cuts++ < 3 ? { cutAfter: 20_000 } : undefined;
    };
    expect(small.equals(await read(store, at))).toBe(true);
    expect(conditions).toEqual([
      [undefined, false],
      ['bytes=20000-', true],
      ['bytes=40000-', true],
      ['bytes=60000-', true],
    ]);
  });

  it('goes on with a server that knows no ranges', async () => {
    let requests = 0;
    s3.fault = (request) => {
      delete request.headers.range;
      return requests++ < 2 ? { cutAfter: 20_000 } : undefined;
    };
    const failed = read(store, at);
    expect(small.equals(await failed)).toBe(true);
  });

  it('never mixes two objects', async () => {
    let cut = false;
    s3.fault = ({ method }) => {
      if (method !== 'GET' || cut) return undefined;
      cut = true;
      void s3.put('backups', `${prefix}/${at}`, randomBytes(300_000));
      return { cutAfter: 20_000 };
    };
    await expect(read(store, at)).rejects.toMatchObject({ type: 'Conflict' });
  });

  it('gives up, as something that may pass, when nothing more comes', async () => {
    faults(GET, { cutAfter: 0 });
    await expect(read(store, at)).rejects.toMatchObject({ name: 'StoreUnavailable', how: 'silent' });
  });

  it('sees other bytes than were stored', async () => {
    faults(GET, { answerWith: ({ body }) => body.writeUInt8(body.readUInt8(7) ^ 1, 7) });
    await expect(read(store, at)).rejects.toMatchObject({ type: 'VerificationFailed' });
  });
});

describe('a put whose checksum S3', () => {
  const wrong = Buffer.alloc(32).toString('base64');
  const header = (value: string | undefined) => (answer: ChangeableAnswer) => {
    if (value === undefined) delete answer.headers['x-amz-checksum-sha256'];
    else answer.headers['x-amz-checksum-sha256'] = value;
    const xml = value === undefined ? '' : `<ChecksumSHA256>${value}</ChecksumSHA256>`;
    const text = answer.body.toString('latin1');
    if (text.startsWith('<?xml'))
      answer.body = Buffer.from(text.replace(/<ChecksumSHA256>.*?<\/ChecksumSHA256>/, xml), 'latin1');
  };

  it.each([
    ['of the only request', small, PUT],
    ['of a part', large, /partNumber=2/],
    ['of the whole', large, COMPLETE],
  ])('confirms otherwise is taken for failed: %s', async (_, bytes, request) => {
    const times = faults(request, { answerWith: header(wrong) });
    await expect(store.put(at, inPieces(bytes))).rejects.toMatchObject({ type: 'VerificationFailed' });
    expect(times()).toBe(1);
    expect(await listed(store)).toEqual([]);
    expect(s3.uploads.open.size).toBe(0);
  });

  it.each(bodies)('does not confirm is read back: %s', async (_, bytes) => {
    s3.seen.length = 0;
    faults(/^(PUT|POST|HEAD)/, { answerWith: header(undefined) });
    await store.put(at, inPieces(bytes));
    expect(s3.seen.filter((line) => line.startsWith('GET'))).toHaveLength(1);
    s3.fault = ({ method }) =>
      method === 'GET'
        ? { answerWith: ({ body }) => body.writeUInt8(body.readUInt8(7) ^ 1, 7) }
        : { answerWith: header(undefined) };
    await expect(store.put(at, inPieces(bytes))).rejects.toMatchObject({ type: 'VerificationFailed' });
  });

  it('confirms while it has another size is taken for failed', async () => {
    faults(/^HEAD/, { answerWith: ({ headers }) => (headers['content-length'] = '7') });
    await expect(store.put(at, small)).rejects.toMatchObject({ type: 'VerificationFailed' });
  });

  it('compares is sent with every request that has bytes', async () => {
    const sums: unknown[] = [];
    s3.fault = ({ method, headers }) =>
      void (method === 'PUT' && sums.push(headers['x-amz-checksum-sha256']));
    await store.put(at, small);
    await store.put(at, inPieces(large));
    expect(sums).toEqual(Array(4).fill(expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/)));
  });
});

describe('what is final', () => {
  it('names the right that is missing', async () => {
    s3.fault = () => ({ status: 403, code: 'AccessDenied' });
    for (const [action, call] of Object.entries({ ...calls(store), head: () => store.head(at) }))
      await expect(call()).rejects.toMatchObject({
        type: 'PermissionDenied',
        hint: expect.stringContaining(action === 'head' ? 's3:GetObject' : action),
      });
  });

  it('names a bucket that is missing', async () => {
    const nowhere = await openStore('s3://no-such-bucket/x', { s3Endpoint: s3.endpoint });
    // The server removes from a bucket that it does not have, and cannot list uploads.
    const fault = { status: 404, code: 'NoSuchBucket' };
    s3.fault = ({ method, url }) =>
      method === 'DELETE' || (method === 'GET' && url!.includes('uploads')) ? fault : undefined;
    const upload = () => nowhere.put(at, large);
    for (const call of [...Object.values(calls(nowhere)), upload, () => nowhere.head(at)])
      await expect(call()).rejects.toMatchObject({
        type: 'NotFound',
        message: expect.stringContaining('no-such-bucket'),
        hint: expect.any(String),
      });
    await nowhere.close();
  });

  it.each([
    [403, 'InvalidAccessKeyId', 'PermissionDenied'],
    [403, 'SignatureDoesNotMatch', 'PermissionDenied'],
    [400, 'AuthorizationHeaderMalformed', 'InvalidInput'],
    [403, 'InvalidObjectState', 'Rejected'],
    [400, 'InvalidRequest', 'Rejected'],
  ])('%d %s ends as %s, without what the server wrote', async (status, code, type) => {
    s3.fault = () => ({ status, code });
    for (const call of Object.values(calls(impatient))) {
      const failed = await call().catch((error: unknown) => error);
      expect(failed).toMatchObject({ type });
      expect(JSON.stringify(failed)).not.toMatch(/secret-in-a-message/);
    }
  });

  it('has no credentials: at the start that is final, later it may pass', async () => {
    const without = {
      ...{ AWS_ACCESS_KEY_ID: '', AWS_PROFILE: '', AWS_EC2_METADATA_DISABLED: 'true' },
      ...{ AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' },
    };
    for (const [name, value] of Object.entries(without)) vi.stubEnv(name, value);
    await expect(store.head(at)).rejects.toMatchObject({ type: 'PermissionDenied' });
    const requests = new Requests(s3.client, 'backups');
    await requests.call('s3:GetObject', at, undefined, () => Promise.resolve());
    const outage = Object.assign(new Error('expired'), { name: 'CredentialsProviderError' });
    await expect(
      requests.call('s3:GetObject', at, undefined, () => Promise.reject(outage)),
    ).rejects.toMatchObject({ name: 'StoreUnavailable', how: 'silent' });
  });
});

describe('the prefix', () => {
  it('is all that a store sees, and of it only what a store has put there', async () => {
    const foreign = [
      `${prefix}-other/a`,
      `${prefix}`,
      `${prefix}/a b`,
      `${prefix}/x/../y`,
      `${prefix}//z`,
      'acme/a',
    ];
    for (const key of foreign) await s3.put('backups', key, 'of globex');
    await store.put(at, small);
    expect(await listed(store)).toEqual([at]);
    await store.remove(at);
    expect(await listed(store)).toEqual([]);
    expect(s3.seen.filter((line) => /^DELETE/.test(line)).at(-1)).toContain(`/backups/${prefix}/${at}`);
  });

  it('is listed page by page', async () => {
    const keys = Array.from({ length: 2500 }, (_, i) => `acme/b/${String(i).padStart(4, '0')}`);
    await s3.fill(
      'backups',
      keys.map((key) => `${prefix}/${key}`),
    );
    expect(await listed(store, place('acme/b'))).toEqual(keys);
  });

  it('is refused when it is listed in no order', async () => {
    faults(/list-type/, {
      body: '<ListBucketResult><Contents><Key>b</Key></Contents><Contents><Key>a</Key></Contents></ListBucketResult>',
    });
    const whole = await openStore('s3://backups', { s3Endpoint: s3.endpoint });
    await expect(listed(whole)).rejects.toMatchObject({ type: 'Rejected' });
    await whole.close();
  });

  it('is swept of old uploads, page by page, and no other folder', async () => {
    const begin = async (key: string) => {
      const { UploadId } = await s3.client.send(
        new CreateMultipartUploadCommand({ Bucket: 'backups', Key: `${prefix}/${key}` }),
      );
      return UploadId!;
    };
    const old = await Promise.all(Array.from({ length: 5 }, (_, i) => begin(`acme/b/${i}`)));
    for (const id of old) s3.uploads.open.set(id, { ...s3.uploads.open.get(id)!, at: new Date(0) });
    const kept = [await begin('acme/b/young'), await begin('acme_2/b/other')];
    s3.uploads.pageSize = 2;
    await store.sweep(place('acme'), 60_000);
    expect([...s3.uploads.open.keys()]).toEqual(kept);
  });
});
