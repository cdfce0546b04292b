import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { sampleVideos as fetchSampleVideos } from '../../src/embedded/sample-videos.js';
import { runTool } from '../../src/video/ffmpeg.js';

/** Folder of three real H.264 clips: `bikes.mp4`, `bigbuckbunny.mp4`, `carphone.mp4`; cached between runs. */
export function sampleVideos(): Promise<string> {
  return fetchSampleVideos(path.resolve('.cvops'));
}

/** Everything that something gives over time. */
export async function collect<T>(given: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of given) all.push(one);
  return all;
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(path.join(os.tmpdir(), 'cvops-test-'));
}

export interface MadeVideo {
  /** One colour after the other, each for an equal share; names or `0xRRGGBB`, as ffmpeg takes them. */
  readonly colours?: readonly string[];
  readonly seconds: number;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  readonly audio?: boolean;
  /** More options for the output, such as `-metadata:s:v:0 rotate=90`. */
  readonly output?: readonly string[];
  /** More filters on the picture, such as `select='…'`. */
  readonly filter?: string;
}

/** Makes an H.264 MP4 of plain colours; without colours ffmpeg's moving test picture. */
export async function makeVideo(file: string, made: MadeVideo): Promise<string> {
  const { seconds, width = 320, height = 240, fps = 25, colours = [] } = made;
  const size = `s=${width}x${height}:r=${fps}`;
  const share = seconds / Math.max(1, colours.length);
  const sources = colours.length
    ? colours.map((colour) => `color=c=${colour}:${size}:d=${share}`)
    : [`testsrc2=${size}:d=${seconds}`];
  const inputs = sources.flatMap((source) => ['-f', 'lavfi', '-i', source]);
  if (made.audio) inputs.push('-f', 'lavfi', '-i', `sine=d=${seconds}`);
  const joined = sources.map((_, at) => `[${at}:v]`).join('');
  const filter = `${joined}concat=n=${sources.length}:v=1${made.filter ? `,${made.filter}` : ''},format=yuv420p[v]`;
  const maps = ['-map', '[v]', ...(made.audio ? ['-map', `${sources.length}:a`, '-shortest'] : [])];
  await ffmpeg([
    ...inputs,
    ...['-filter_complex', filter, ...maps, '-c:v', 'libx264', '-preset', 'ultrafast'],
    ...(made.output ?? []),
    ...['-f', 'mp4', `file:${path.resolve(file)}`],
  ]);
  return file;
}

export async function ffmpeg(args: readonly string[]): Promise<void> {
  const options = { timeoutMs: 60_000, maxOutputBytes: 1 << 20 };
  const { code, stderr } = await runTool('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], options);
  if (code !== 0) throw new Error(`ffmpeg: ${stderr}`);
}

/** Command lines of a process's children and their children, shells left out; of 1, of everything that runs. */
export async function toolsBelow(pid: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,args=']);
  const all = stdout.split('\n').flatMap((line) => {
    const [, id, parent, args] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return args === undefined ? [] : [{ id: Number(id), parent: Number(parent), args }];
  });
  const below = new Set([pid]);
  // Parents are not always listed before their children.
  for (let size = 0; size !== below.size;) {
    size = below.size;
    for (const { id, parent } of all) if (pid === 1 || below.has(parent)) below.add(id);
  }
  below.delete(pid);
  return all.filter(({ id, args }) => below.has(id) && !args.startsWith('/bin/sh ')).map(({ args }) => args);
}

/**
 * Fills a folder with files that cannot be ingested.
 *
 * @returns the reason each must end with, by name
 */
export async function makeBadVideos(folder: string): Promise<Record<string, RegExp>> {
  const at = (name: string) => path.join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(at('text.mp4'), 'These are words, and no video.\n'.repeat(100));
  await writeFile(at('empty.mp4'), '');
  await writeFile(
    at('noise.mp4'),
    Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * i * 31 + i * 7) & 255)),
  );
  await writeFile(
    at('playlist.mp4'),
    '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n',
  );
  await writeFile(at('concat.mp4'), "ffconcat version 1.0\nfile 'whole.mp4.part'\n");
  await ffmpeg(['-f', 'lavfi', '-i', 'sine=d=2', '-f', 'mp4', `file:${at('audio.mp4')}`]);
  await makeVideo(at('whole.mp4.part'), { seconds: 4 });
  const whole = await readFile(at('whole.mp4.part'));
  await writeFile(at('cut.mp4'), whole.subarray(0, Math.floor(whole.length / 2)));
  await makeVideo(at('cut-indexed.mp4'), { seconds: 4, output: ['-movflags', '+faststart'] });
  await truncate(at('cut-indexed.mp4'), Math.floor(whole.length / 2));
  await mkdir(at('folder.mp4'));
  await symlink('/nowhere/at/all.mp4', at('dangling.mp4'));
  await symlink('/etc/hostname', at('outside.mp4'));
  return {
    'text.mp4': /^not a video/,
    'empty.mp4': /^empty file$/,
    'noise.mp4': /^not a video/,
    'playlist.mp4': /^not a video/,
    'concat.mp4': /^not a video/,
    'audio.mp4': /^no video stream \(audio only\)$/,
    'cut.mp4': /^truncated/,
    'cut-indexed.mp4': /^truncated: \d+ bytes are missing/,
    'folder.mp4': /^unreadable: a folder, not a file$/,
    'dangling.mp4': /^unreadable: no such file, or a link to nothing$/,
    'outside.mp4': /^unreadable: a link that leads out of the folder$/,
  };
}
