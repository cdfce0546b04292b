import { execFile } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { PROFILES } from '../../src/domain/profiles.js';
import { probeVideo } from '../../src/video/probe.js';
import { segmentVideo } from '../../src/video/segment.js';
import { NO_LIMIT, cvopsJson, freshTenant } from '../support/cvops.js';
import {
  makeSparse,
  startListener,
  turned,
  withFrames,
  withSecondsPerFrame,
  withSize,
} from '../support/lyingVideos.js';
import { ffmpeg, makeBadVideos, makeVideo, temporaryFolder, toolsBelow } from '../support/videos.js';

const FRAMES = 'video_colpali_smol500_mv_frame';
const CHUNKS = 'video_colqwen_omni_mv_chunk_30s';

interface Ingested {
  readonly operation: string;
  readonly videos: { stored: number; unchanged: number; failed: number };
  readonly documents: number;
  readonly failures: { video: string; reason: string }[];
}

const SHORT = { seconds: 2, width: 64, height: 48, fps: 5 } as const;
/** 255 bytes, the most that a name may have. */
const LONG_NAME = `${'ä'.repeat(125)}x.mp4`;
/** What can be stored, however odd, and the documents it must come to. */
const GOOD: Readonly<Record<string, number>> = {
  'two words.mp4': 2,
  [`quote"s and 'more'.mp4`]: 2,
  'line\nbreak.mp4': 2,
  '🎬 film.mp4': 2,
  '-i.mp4': 2,
  '-filter_complex.mp4': 2,
  'file:x.mp4': 2,
  'concat:a|b.mp4': 2,
  'http:__127.0.0.1:9_x.mp4': 2,
  'data:x.mp4': 2,
  'pipe:0.mp4': 2,
  '%03d.mp4': 2,
  '$(touch pwned).mp4': 2,
  '`touch pwned`;.mp4': 2,
  [LONG_NAME]: 2,
  'turned-90.mp4': 2,
  'turned-270.mp4': 2,
  'tilted-45.mp4': 2,
  'variable-rate.mp4': 6,
};

let folder: string;
let tenant: string;
let reasons: Readonly<Record<string, RegExp>>;
let asked: () => number;

beforeAll(async () => {
  tenant = freshTenant('liars');
  folder = await temporaryFolder();
  const created = cvopsJson([
    'tenant',
    'create',
    tenant,
    '--template',
    'trial',
    '--profiles',
    `${FRAMES},${CHUNKS}`,
    ...NO_LIMIT,
  ]);
  const { url, requests } = await startListener();
  asked = requests;
  const at = (name: string) => path.join(folder, name);
  const short = await makeVideo(at('source'), SHORT);
  const plain = await readFile(short);
  for (const name of Object.keys(GOOD)) await writeFile(at(name), plain);
  for (const [name, degrees] of [
    ['turned-90', 90],
    ['turned-270', 270],
    ['tilted-45', 45],
  ] as const)
    await writeFile(at(`${name}.mp4`), turned(plain, degrees));
  await makeVideo(at('variable-rate.mp4'), { ...SHORT, seconds: 6, filter: "select='lt(t,2)+gte(t,4)'" });

  const playlist = (target: string) =>
    `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n${target}\n#EXT-X-ENDLIST\n`;
  await writeFile(at('hls-of-url.mp4'), playlist(`${url}/a.ts`));
  await writeFile(at('hls-of-file.mp4'), playlist(short));
  await writeFile(at('concat-of-url.mp4'), `ffconcat version 1.0\nfile '${url}/b.mp4'\n`);
  await writeFile(at('concat-of-file.mp4'), `ffconcat version 1.0\nfile '${short}'\n`);
  await writeFile(
    at('dash.mp4'),
    `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation><BaseURL>${url}/c.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>`,
  );
  await writeFile(
    at('sdp.mp4'),
    'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n',
  );
  await promisify(execFile)('mkfifo', [at('fifo.mp4')]);
  await makeSparse(at('sparse.mp4'), 100 * 2 ** 30);
  await writeFile(at('zero-seconds.mp4'), withSecondsPerFrame(plain, 0));
  await writeFile(at('a-century.mp4'), withSecondsPerFrame(plain, 300_000_000));
  await writeFile(at('huge-picture.mp4'), withSize(plain, 30_000, 30_000));
  await writeFile(at('billion-frames.mp4'), withFrames(plain, 1_000_000_000));
  await symlink('/etc', at('etc.mp4'));
  reasons = {
    ...(await makeBadVideos(folder)),
    'hls-of-url.mp4': /^not a video/,
    'hls-of-file.mp4': /^not a video/,
    'concat-of-url.mp4': /^not a video/,
    'concat-of-file.mp4': /^not a video/,
    'dash.mp4': /^not a video/,
    'sdp.mp4': /^not a video/,
    'fifo.mp4': /^unreadable: a device, pipe or socket, not a file$/,
    'sparse.mp4': /^too large: over 64 GiB$/,
    'a-century.mp4': /^too long: over 24 hours$/,
    'etc.mp4': /^unreadable: a link that leads out of the folder$/,
  };
  await created;
});

describe('a folder of videos that lie', () => {
  let result: Ingested;
  beforeAll(async () => {
    result = await cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', FRAMES], 3);
  });
  const either = ['huge-picture.mp4', 'billion-frames.mp4', 'zero-seconds.mp4'];
  const failed = () => Object.fromEntries(result.failures.map(({ video, reason }) => [video, reason]));

  test('each ends with its plain reason or with its documents, and none else does', () => {
    for (const [name, reason] of Object.entries(reasons)) expect(failed()[name], name).toMatch(reason);
    for (const name of Object.keys(GOOD)) expect(failed()[name], name).toBeUndefined();
    for (const reason of Object.values(failed())) expect(reason).not.toMatch(/\p{Cc}|0x[0-9a-f]{6}/u);
    const ended = result.videos.stored + result.videos.failed;
    expect(ended).toBe(Object.keys(reasons).length + Object.keys(GOOD).length + either.length);
    expect(result.videos.unchanged).toBe(0);
  });

  test('those with absurd headers too', () => {
    // A header that is wrong about the picture may be put right by the stream itself: stored as what it is, or refused.
    for (const name of either)
      expect(failed()[name] ?? 'stored', name).toMatch(
        /^(stored|zero seconds|picture too large|not a video|cannot be decoded|no picture|damaged)/,
      );
  });

  test('nothing that they name was opened or asked for, and no tool is left', async () => {
    expect(asked()).toBe(0);
    expect((await toolsBelow(1)).filter((args) => args.includes(folder))).toEqual([]);
  });

  test('again: what was stored is unchanged, what failed fails alike', async () => {
    const again = await cvopsJson<Ingested>(['ingest', tenant, folder, '--profile', FRAMES], 3);
    expect(again.videos).toEqual({
      stored: 0,
      unchanged: result.videos.stored,
      failed: result.videos.failed,
    });
    expect(again.failures).toEqual(result.failures);
  });
});

describe('four hours', () => {
  const long = async () => {
    const below = path.join(await temporaryFolder(), 'long.mp4');
    await ffmpeg([
      ...['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=1/60:d=14400', '-c:v', 'libx264', '-preset', 'ultrafast'],
      ...['-f', 'mp4', `file:${below}`],
    ]);
    return below;
  };

  test('are cut to their end in bounded memory; of frames the first 3,000 are taken', async () => {
    const file = await long();
    const probed = await probeVideo(file);
    for (const [profile, count, end] of [
      [CHUNKS, 576, 14_400],
      [FRAMES, 3000, 3000],
    ] as const) {
      let [segments, last, frames] = [0, 0, 0];
      for await (const s of segmentVideo(file, probed, PROFILES[profile].segmentation, { size: 8 })) {
        [segments, last, frames] = [segments + 1, s.end, Math.max(frames, s.frames.length)];
      }
      expect([segments, last]).toEqual([count, end]);
      expect(frames).toBeLessThanOrEqual(10);
    }
  });

  // A minute of two processors, nearly all of it the encoder's.
  test.runIf(process.env['LONG_VIDEOS'])('are stored through the command', async () => {
    const chunks = await cvopsJson<Ingested>([
      'ingest',
      tenant,
      path.dirname(await long()),
      '--profile',
      CHUNKS,
    ]);
    expect(chunks).toMatchObject({ videos: { stored: 1, failed: 0 }, documents: 576 });
  });
});
