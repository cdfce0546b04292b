import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { probeVideo } from '../../../src/video/probe.js';
import { segmentVideo } from '../../../src/video/segment.js';
import { PROFILES } from '../../../src/domain/profiles.js';
import { temporaryFolder, toolsBelow } from '../../support/videos.js';

const FRAMES = PROFILES.video_colpali_smol500_mv_frame.segmentation;
const MS = 300;

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(path.join(folder, 'any.mp4'), 'anything');
});
afterEach(() => void vi.unstubAllEnvs());

/** What a broken or hostile tool may do; the numbers make their sleeps known. */
const TOOLS: Readonly<Record<string, string>> = {
  'sleeps and ignores being asked to end': `trap '' TERM INT HUP; sleep 4261; sleep 4261`,
  'leaves a child that holds its output': 'sleep 4262 & exit 0',
  'closes its output and stays': 'exec 1>&- 2>&-; exec sleep 4263',
  'writes a byte now and then': 'while :; do printf x; sleep 0.1; done',
  'complains without end': 'yes complaint >&2',
};

async function tool(name: string, script: string): Promise<string> {
  const file = path.join(folder, name.replaceAll(' ', '-'));
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return file;
}

/** None of the tools ends while a test runs: that this comes back at all is the proof. */
const outcomeOf = (work: () => Promise<unknown>) => work().catch((error: unknown) => error);

const nothingLeft = (file: string) =>
  expect
    .poll(async () =>
      (await toolsBelow(process.pid)).filter((a) => /^sleep 426|^yes /.test(a) || a.includes(file)),
    )
    .toEqual([]);

describe.each(Object.entries(TOOLS))('a tool that %s', (name, script) => {
  it('is ended in time, with all that it started', async () => {
    const file = await tool(name, script);
    vi.stubEnv('FFMPEG_PATH', file);
    vi.stubEnv('FFPROBE_PATH', file);
    const probing = () => probeVideo(path.join(folder, 'any.mp4'), { timeoutMs: MS });
    expect(await outcomeOf(probing)).toMatchObject({ name: 'ToolTimeout' });
    const taken = segmentVideo('any.mp4', { durationSeconds: 4, fps: 25, streamIndex: 0 }, FRAMES, {
      stallMs: MS,
    });
    expect(await outcomeOf(() => taken.next())).toMatchObject({
      name: 'ToolTimeout',
      message: `ffmpeg gave no picture for ${MS} ms`,
    });
    await nothingLeft(file);
  });

  it('is ended with its activity', async () => {
    const file = await tool(name, script);
    vi.stubEnv('FFPROBE_PATH', file);
    const abort = new AbortController();
    const probing = probeVideo(path.join(folder, 'any.mp4'), { signal: abort.signal });
    await expect.poll(async () => (await toolsBelow(process.pid)).length).toBeGreaterThan(0);
    abort.abort(new Error('cancelled'));
    await expect(probing).rejects.toThrow('cancelled');
    await nothingLeft(file);
  });
});

describe('a tool that floods', () => {
  it('ends a probe with a reason, and a decoding with what was asked of it', async () => {
    const file = await tool('flood', 'exec yes');
    vi.stubEnv('FFMPEG_PATH', file);
    vi.stubEnv('FFPROBE_PATH', file);
    expect(await outcomeOf(() => probeVideo(path.join(folder, 'any.mp4')))).toMatchObject({
      type: 'Rejected',
      message: 'not a video: more streams than can be listed',
    });
    const indices: number[] = [];
    const probed = { durationSeconds: 4, fps: 25, streamIndex: 0 };
    for await (const { index } of segmentVideo('any.mp4', probed, FRAMES, { size: 8, stallMs: MS }))
      indices.push(index);
    expect(indices).toEqual([0, 1, 2, 3]);
    await nothingLeft(file);
  });
});

describe('a tool whose child leaves the group and keeps the pipe', () => {
  it('holds nobody up', async () => {
    const noted = path.join(folder, 'escaped');
    const file = await tool('escape', `setsid sleep 4264 & echo $! >'${noted}'; sleep 4269`);
    vi.stubEnv('FFPROBE_PATH', file);
    const probing = () => probeVideo(path.join(folder, 'any.mp4'), { timeoutMs: 2_000 });
    try {
      expect(await outcomeOf(probing)).toMatchObject({ name: 'ToolTimeout' });
    } finally {
      const escaped = Number(await readFile(noted, 'utf8').catch(() => '0'));
      if (escaped > 0) process.kill(escaped, 'SIGKILL');
    }
  });
});
