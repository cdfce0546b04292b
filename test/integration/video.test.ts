import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, chmod, cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROFILES, type Segmentation } from '../../src/domain/profiles.js';
import { resolveVideo, walkVideos } from '../../src/video/discover.js';
import { runTool } from '../../src/video/ffmpeg.js';
import { probeVideo } from '../../src/video/probe.js';
import { type SegmentOptions, type VideoSegment, segmentVideo } from '../../src/video/segment.js';
import { projectRoot } from '../../src/projectRoot.js';
import {
  collect,
  ffmpeg,
  makeBadVideos,
  makeVideo,
  sampleVideos,
  temporaryFolder,
  toolsBelow,
} from '../support/videos.js';

const FRAMES = PROFILES.video_colpali_smol500_mv_frame.segmentation;
const PRISM = PROFILES.video_videoprism_base_mv_chunk_30s.segmentation;
const COLQWEN = PROFILES.video_colqwen_omni_mv_chunk_30s.segmentation;

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});

async function segmentsOf(
  file: string,
  segmentation: Segmentation,
  options: SegmentOptions = {},
): Promise<VideoSegment[]> {
  return collect(segmentVideo(file, await probeVideo(file), segmentation, { size: 32, ...options }));
}

/** The colour of a frame's middle pixel, rounded so that video compression does not show. */
function middle(segment: VideoSegment | undefined, frame = 0): string {
  const { width, height, data } = segment!.frames[frame]!;
  const at = (Math.floor(height / 2) * width + Math.floor(width / 2)) * 3;
  const [r, g, b] = [...data.subarray(at, at + 3)].map((v) => (v > 128 ? 1 : 0));
  return `${r}${g}${b}`;
}
const [RED, LIME, BLUE, BLACK] = ['100', '010', '001', '000'];

const times = (segments: readonly VideoSegment[]) => segments.map(({ start, end }) => [start, end]);

async function childrenOf(pid: number): Promise<number> {
  return (await toolsBelow(pid)).filter((args) => /^\S*ff(mpeg|probe) /.test(args)).length;
}

describe('real clips', () => {
  it('probes them', async () => {
    const clips = await sampleVideos();
    const bunny = await probeVideo(path.join(clips, 'bigbuckbunny.mp4'));
    expect(bunny).toEqual({
      durationSeconds: 5.28,
      width: 1280,
      height: 720,
      fps: 25,
      codec: 'h264',
      hasAudio: true,
      sizeBytes: 1055736,
      sha256: createHash('sha256')
        .update(await readFile(path.join(clips, 'bigbuckbunny.mp4')))
        .digest('hex'),
      streamIndex: 0,
    });
    const phone = await probeVideo(path.join(clips, 'carphone.mp4'));
    expect(phone.fps).toBeCloseTo(29.97, 2);
    expect(phone).toMatchObject({ durationSeconds: 4.004, width: 176, height: 144, hasAudio: false });
  });

  it('cuts them into one frame a second that covers the whole video, the same bytes each time', async () => {
    const clips = await sampleVideos();
    const counts = { 'bikes.mp4': 10, 'bigbuckbunny.mp4': 5, 'carphone.mp4': 4 };
    for (const [name, count] of Object.entries(counts)) {
      const file = path.join(clips, name);
      const once = await segmentsOf(file, FRAMES, { size: 224 });
      expect(once.map((s) => s.index)).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(once.every((s) => s.frames.length === 1 && s.frames[0]!.data.length === 224 * 224 * 3)).toBe(
        true,
      );
      expect(once.at(-1)!.end).toBe((await probeVideo(file)).durationSeconds);
      expect(await segmentsOf(file, FRAMES, { size: 224 })).toEqual(once);
    }
  });
});

describe('segments', () => {
  it('show the picture of their own time, and start where the caller left off', async () => {
    const file = await makeVideo(path.join(folder, 'four.mp4'), {
      seconds: 8,
      colours: ['red', 'lime', 'blue', 'black'],
    });
    const all = await segmentsOf(file, FRAMES);
    expect(all.map((s) => middle(s))).toEqual([RED, RED, LIME, LIME, BLUE, BLUE, BLACK, BLACK]);
    const rest = await segmentsOf(file, FRAMES, { from: 5 });
    expect(rest).toEqual(all.slice(5));
    const capped = await segmentsOf(file, { kind: 'frames', fps: 1, maxFrames: 3 });
    expect(capped).toEqual(all.slice(0, 3));
  });

  it('of chunks are sampled over the whole chunk, overlap included', async () => {
    const file = await makeVideo(path.join(folder, 'chunks.mp4'), {
      seconds: 70,
      width: 64,
      height: 48,
      fps: 5,
      colours: ['red', 'lime', 'blue', 'black', 'red', 'lime', 'blue'],
    });
    const prism = await segmentsOf(file, PRISM);
    expect(times(prism)).toEqual([
      [0, 30],
      [30, 60],
      [60, 70],
    ]);
    expect(prism.map((s) => s.frames.length)).toEqual([16, 16, 5]);
    expect([0, 8, 15].map((at) => middle(prism[0], at))).toEqual([RED, LIME, BLUE]);
    expect([0, 8, 15].map((at) => middle(prism[1], at))).toEqual([BLACK, RED, LIME]);

    const colqwen = await segmentsOf(file, COLQWEN);
    expect(times(colqwen)).toEqual([
      [0, 30],
      [25, 55],
      [50, 70],
    ]);
    expect(colqwen.map((s) => s.frames.length)).toEqual([10, 10, 6]);
    expect([middle(colqwen[1], 0), middle(colqwen[1], 9)]).toEqual([BLUE, LIME]);
    expect(await segmentsOf(file, COLQWEN, { from: 2 })).toEqual(colqwen.slice(2));
  });

  it('exist for a video shorter than a sample, and for a single picture', async () => {
    const short = await makeVideo(path.join(folder, 'short.mp4'), { seconds: 0.3, colours: ['red'] });
    for (const segmentation of [FRAMES, PRISM, COLQWEN]) {
      const [only, ...others] = await segmentsOf(short, segmentation);
      expect(others).toEqual([]);
      expect(only).toMatchObject({ index: 0, start: 0, end: 0.32 });
      expect(middle(only)).toBe(RED);
    }
    const single = await makeVideo(path.join(folder, 'single.mp4'), {
      seconds: 1,
      colours: ['blue'],
      output: ['-frames:v', '1'],
    });
    expect((await segmentsOf(single, FRAMES)).map((s) => middle(s))).toEqual([BLUE]);
    expect((await segmentsOf(single, PRISM)).map((s) => middle(s))).toEqual([BLUE]);
  });

  it('follow time where the frame rate varies: a picture that stands still counts for each of its seconds', async () => {
    // Of 12 seconds, the middle four have no frame at all.
    const file = await makeVideo(path.join(folder, 'variable.mp4'), {
      seconds: 12,
      colours: ['red', 'lime', 'blue'],
      filter: "select='lt(t,4)+gte(t,8)'",
    });
    const shown = (await segmentsOf(file, FRAMES)).map((s) => middle(s));
    expect(shown).toEqual([RED, RED, RED, RED, RED, RED, RED, RED, BLUE, BLUE, BLUE, BLUE]);
  });

  it('stand upright when the file says that the camera was turned', async () => {
    const flat = await makeVideo(path.join(folder, 'flat.mp4'), {
      seconds: 2,
      colours: ['black'],
      filter: 'drawbox=x=0:y=0:w=iw:h=ih/4:color=red:t=fill',
    });
    const turned = path.join(folder, 'turned.mp4');
    await ffmpeg(['-i', `file:${flat}`, '-c', 'copy', '-metadata:s:v:0', 'rotate=90', `file:${turned}`]);
    expect(await probeVideo(turned)).toMatchObject({ width: 240, height: 320 });
    const [upright] = await segmentsOf(turned, FRAMES);
    const { data } = upright!.frames[0]!;
    const red = (x: number, y: number) => data[(y * 32 + x) * 3]! > 128;
    // A red bar at the top, turned by a quarter, stands at one side.
    expect([red(16, 2), red(2, 16) !== red(29, 16)]).toEqual([false, true]);
  });

  it('wait for whoever takes them: ffmpeg runs no further ahead than the pipe', async () => {
    const file = await makeVideo(path.join(folder, 'long.mp4'), {
      seconds: 120,
      width: 64,
      height: 48,
      fps: 2,
    });
    const probed = await probeVideo(file);
    const taken = segmentVideo(file, probed, FRAMES, { size: 224, stallMs: 1_000 });
    await taken.next();
    // Longer than the stall limit, which counts only the tool's own time; the 120 pictures do not fit into the pipe.
    await new Promise((resolve) => setTimeout(resolve, 1_400));
    expect(await childrenOf(process.pid)).toBe(1);
    expect((await taken.next()).value).toMatchObject({ index: 1 });
    await taken.return();
    await expect.poll(() => childrenOf(process.pid)).toBe(0);
  });

  it('end with the signal, and no ffmpeg stays behind', async () => {
    const abort = new AbortController();
    const probed = await probeVideo(path.join(folder, 'long.mp4'));
    const taken = segmentVideo(path.join(folder, 'long.mp4'), probed, FRAMES, {
      size: 224,
      signal: abort.signal,
    });
    await taken.next();
    abort.abort(new Error('enough'));
    await expect(collect(taken)).rejects.toThrow('enough');
    await expect.poll(() => childrenOf(process.pid)).toBe(0);
    await expect(probeVideo(path.join(folder, 'long.mp4'), { signal: abort.signal })).rejects.toThrow(
      'enough',
    );
  });
});

describe('hostile files', () => {
  it('each end with a plain reason', async () => {
    const bad = path.join(folder, 'bad');
    const reasons = await makeBadVideos(bad);
    expect(await collect(walkVideos(bad))).toEqual(Object.keys(reasons).sort());
    for (const [name, reason] of Object.entries(reasons)) {
      const outcome = resolveVideo(bad, name).then((file) => probeVideo(file));
      await expect(outcome, name).rejects.toMatchObject({
        name: 'OpsError',
        type: 'Rejected',
        message: expect.stringMatching(reason),
      });
    }
  });

  it('with damage inside end with a plain reason or with all their segments, never hanging', async () => {
    const whole = await readFile(path.join(await sampleVideos(), 'bikes.mp4'));
    const outcomes: string[] = [];
    for (const [at, length] of [
      [2_000, 3_000],
      [100_000, 50_000],
      [250_000, 200_000],
      [whole.length - 3_000, 2_000],
    ] as const) {
      const damaged = Buffer.from(whole);
      for (let i = at; i < at + length; i++) damaged[i] = (i * 73 + 41) & 255;
      const file = path.join(folder, `damaged-${at}.mp4`);
      await writeFile(file, damaged);
      const outcome = await segmentsOf(file, FRAMES).catch((error: unknown) => error);
      if (Array.isArray(outcome)) expect(outcome.length).toBe(10);
      else expect(outcome).toMatchObject({ name: 'OpsError', type: 'Rejected' });
      outcomes.push(Array.isArray(outcome) ? 'segments' : 'reason');
    }
    expect(new Set(outcomes)).toEqual(new Set(['segments', 'reason']));
  });

  it('that promise more than they hold are refused as damaged', async () => {
    const file = await makeVideo(path.join(folder, 'honest.mp4'), { seconds: 4, width: 64, height: 48 });
    const probed = await probeVideo(file);
    const taken: VideoSegment[] = [];
    const lying = async () => {
      for await (const s of segmentVideo(file, { ...probed, durationSeconds: 60 }, FRAMES, { size: 32 }))
        taken.push(s);
    };
    await expect(lying()).rejects.toThrow('damaged: can be decoded up to 4.0 of 60.0 seconds');
    expect(taken.length).toBe(4);
  });

  it('may have any name', async () => {
    const names = [
      'two words.mp4',
      `quote"s and 'more'.mp4`,
      'line\nbreak.mp4',
      '🎬 film.mp4',
      '-i.mp4',
      '-vf',
      '%03d.mp4',
      'http:__host_x.mp4',
      'concat:a|b.mp4',
      '$(touch pwned).mp4',
      'back\\slash.MP4',
      `${'long'.repeat(60)}.mp4`,
    ];
    const odd = path.join(folder, 'odd %d -names');
    await mkdir(odd, { recursive: true });
    const source = await makeVideo(path.join(folder, 'source.mp4'), { seconds: 1, width: 64, height: 48 });
    for (const name of names) await cp(source, path.join(odd, name));
    await mkdir(path.join(odd, 'pipe:1'));
    await rename(path.join(odd, '-vf'), path.join(odd, 'pipe:1', '-vf.mp4'));
    const found = await collect(walkVideos(odd));
    expect(found.length).toBe(names.length);
    for (const name of found) {
      const file = await resolveVideo(odd, name);
      expect((await segmentsOf(file, FRAMES)).length, name).toBe(1);
    }
    await expect(access('pwned')).rejects.toThrow('ENOENT');
  });

  it('do not hold up the reader: a named pipe, a folder, an unreadable file', async () => {
    const pipe = path.join(folder, 'pipe.mp4');
    await promisify(execFile)('mkfifo', [pipe]);
    await expect(probeVideo(pipe)).rejects.toThrow('unreadable: a device, pipe or socket, not a file');
    const secret = await makeVideo(path.join(folder, 'secret.mp4'), { seconds: 1, width: 64, height: 48 });
    await chmod(secret, 0o000);
    // The superuser reads everything.
    if (process.getuid?.() !== 0) {
      await expect(probeVideo(secret)).rejects.toThrow('unreadable: permission denied');
    }
    await expect(probeVideo('zero\0byte.mp4')).rejects.toThrow('unreadable: its name holds a zero byte');
  });
});

describe('other containers', () => {
  const streamed = async (name: string, format: string, source: string) => {
    const to = ['-c', 'copy', '-f', format, 'pipe:1'];
    const args = ['-nostdin', '-v', 'error', '-i', `file:${source}`, ...to];
    const { stdout } = await runTool('ffmpeg', args, { timeoutMs: 30_000, maxOutputBytes: 64 << 20 });
    const file = path.join(folder, name);
    await writeFile(file, stdout);
    return file;
  };

  it('under the name of an MP4 are read, with their length measured when they do not tell it', async () => {
    const source = await makeVideo(path.join(folder, 'plain.mp4'), {
      seconds: 6,
      colours: ['red', 'lime', 'blue'],
    });
    // Written to a pipe, Matroska cannot go back to fill in its duration.
    const file = await streamed('matroska.mp4', 'matroska', source);
    const probed = await probeVideo(file);
    expect(probed.durationSeconds).toBeCloseTo(6, 1);
    expect((await segmentsOf(file, FRAMES)).map((s) => middle(s))).toEqual([
      RED,
      RED,
      LIME,
      LIME,
      BLUE,
      BLUE,
    ]);
    const fragmented = path.join(folder, 'fragmented.mp4');
    const flags = ['-movflags', '+frag_keyframe+empty_moov'];
    await ffmpeg(['-i', `file:${source}`, '-c', 'copy', ...flags, `file:${fragmented}`]);
    expect((await segmentsOf(fragmented, FRAMES)).length).toBe(6);
  });

  it('may change their picture size on the way', async () => {
    const parts = await Promise.all(
      [
        ['red', 320],
        ['blue', 160],
      ].map(async ([colour, width]) => {
        const mp4 = await makeVideo(path.join(folder, `${colour}.mp4`), {
          seconds: 3,
          colours: [colour as string],
          width: width as number,
        });
        return readFile(await streamed(`${colour}.ts.mp4`, 'mpegts', mp4));
      }),
    );
    const file = path.join(folder, 'changing.mp4');
    await writeFile(file, Buffer.concat(parts));
    const outcome = await segmentsOf(file, FRAMES).catch((error: unknown) => error);
    if (Array.isArray(outcome)) expect(outcome.length).toBeGreaterThanOrEqual(3);
    else expect(outcome).toMatchObject({ name: 'OpsError', type: 'Rejected' });
  });
});

describe('tools', () => {
  it('are killed when they take too long or write too much', async () => {
    const endless = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=s=64x64', '-f', 'rawvideo', 'pipe:1'];
    // Neither would end by itself.
    await expect(runTool('ffmpeg', endless, { timeoutMs: 60_000, maxOutputBytes: 1 << 20 })).rejects.toThrow(
      'ffmpeg wrote more than 1048576 bytes',
    );
    const silent = ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=s=64x64', '-f', 'null', '-'];
    await expect(runTool('ffmpeg', silent, { timeoutMs: 300, maxOutputBytes: 1 << 20 })).rejects.toThrow(
      'ffmpeg took longer than 300 ms',
    );
    await expect.poll(() => childrenOf(process.pid)).toBe(0);
  });

  it('end with a killed worker, whatever they are doing', async () => {
    const source = await makeVideo(path.join(folder, 'orphan.mp4'), {
      seconds: 120,
      width: 64,
      height: 48,
      fps: 2,
    });
    const input = ['-v', 'error', '-i', `file:${source}`];
    const child = new URL(`file://${projectRoot}/dist/src/video/child.js`).href;
    // One that waits for its reader, one that decodes at the speed of time and writes nothing, one that hangs.
    const script = `
      const { startTool } = await import(${JSON.stringify(child)});
      startTool('ffmpeg', ${JSON.stringify([...input, '-f', 'rawvideo', 'pipe:1'])});
      startTool('ffmpeg', ${JSON.stringify(['-re', ...input, '-f', 'null', '-'])});
      process.env.FFPROBE_PATH = '/bin/sleep';
      startTool('ffprobe', ['4251']);
      setInterval(() => {}, 1000);`;
    const worker = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const ours = (args: string) => args.includes(source) || args === '/bin/sleep 4251';
    await expect.poll(async () => (await toolsBelow(worker.pid!)).filter(ours).length).toBe(3);
    worker.kill('SIGKILL');
    await expect.poll(async () => (await toolsBelow(1)).filter(ours), { timeout: 5_000 }).toEqual([]);
  });
});
