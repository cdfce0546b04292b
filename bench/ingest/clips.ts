import { access, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { sampleVideos } from '../../src/embedded/sample-videos.js';
import { runTool } from '../../src/video/ffmpeg.js';

/** Names the recipe: another one makes another folder. */
const RECIPE = 'v1';
const SOURCES = ['bikes.mp4', 'bigbuckbunny.mp4', 'carphone.mp4'];
const SIZES = ['640:360', '480:272', '352:288', '640:272'];

export interface Clips {
  readonly folder: string;
  readonly megabytes: number;
}

/**
 * A folder of real H.264 clips of 8 to 15 seconds and a few hundred KB, each another stretch of film, animation or a
 * talking man, mirrored, sped and coloured differently. Made once and kept in the machine's temporary folder.
 */
export async function clips(count: number, note: (line: string) => void): Promise<Clips> {
  const folder = path.join(os.tmpdir(), `cvops-bench-clips-${RECIPE}-${count}`);
  if (!(await exists(folder))) {
    note(`making ${count} clips, once`);
    const from = await sampleVideos(path.resolve('.cvops'), note);
    const work = await mkdtemp(`${folder}-`);
    const numbers = Array.from({ length: count }, (_, n) => n).values();
    const lane = async () => {
      for (const n of numbers)
        await makeClip(from, path.join(work, `clip_${String(n).padStart(4, '0')}.mp4`), n);
    };
    await Promise.all([lane(), lane()]);
    await rename(work, folder);
  }
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await stat(path.join(folder, name))).size;
  return { folder, megabytes: Math.round(bytes / 2 ** 20) };
}

async function makeClip(from: string, to: string, n: number): Promise<void> {
  const source = path.join(from, SOURCES[n % SOURCES.length]!);
  const filters = [
    ...(n % 2 ? ['hflip'] : []),
    `setpts=PTS*${(0.8 + (n % 7) * 0.1).toFixed(1)}`,
    `scale=${SIZES[n % SIZES.length]}`,
    `hue=h=${(n * 37) % 360}:s=${(0.7 + (n % 5) * 0.15).toFixed(2)}`,
    'format=yuv420p',
  ];
  const { code, stderr } = await runTool(
    'ffmpeg',
    [
      ...['-nostdin', '-v', 'error', '-y', '-stream_loop', '-1', '-ss', String((n * 0.7) % 3)],
      ...['-i', `file:${source}`, '-t', String(8 + (n % 8)), '-an', '-vf', filters.join(',')],
      ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '28', '-r', '25', '-f', 'mp4', `file:${to}`],
    ],
    { timeoutMs: 60_000, maxOutputBytes: 1 << 20 },
  );
  if (code !== 0) throw new Error(`ffmpeg: ${stderr}`);
}

/**
 * Files that only the stand-in worker takes for videos.
 *
 * @returns their folder, below `parent`
 */
export async function standInVideos(parent: string, count: number): Promise<string> {
  const folder = path.join(parent, `stand-in-${count}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (let n = 0; n < count; n++)
    await writeFile(path.join(folder, `video_${String(n).padStart(5, '0')}.mp4`), `stand-in ${n}\n`);
  return folder;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
