import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Scratch } from '../../../src/sources/scratch.js';
import { temporaryFolder } from '../../support/videos.js';

let base: string;
beforeEach(async () => {
  base = await temporaryFolder();
});

/** The name of a folder of this process, with some of what says whose it is replaced. */
async function nameLike(replaced: { pid?: number; start?: string; namespace?: string }): Promise<string> {
  const [own] = (await readdir(base)).filter((name) => name.startsWith(`cvops-videos-${process.pid}-`));
  const [cvops, videos, pid, start, namespace, ...rest] = own!.split('-');
  return [
    cvops,
    videos,
    replaced.pid ?? pid,
    replaced.start ?? start,
    replaced.namespace ?? namespace,
    ...rest,
  ].join('-');
}

async function make(name: string): Promise<string> {
  const folder = path.join(base, name);
  await mkdir(path.join(folder, 'v-1'), { recursive: true });
  await writeFile(path.join(folder, 'v-1', 'video.mp4'), 'x');
  return folder;
}

describe('what fetched videos leave in the temporary folder', () => {
  it('is gone when the process ends in order', async () => {
    const scratch = new Scratch(base);
    const folder = await scratch.folder();
    expect(existsSync(folder)).toBe(true);
    await scratch.close();
    expect(await readdir(base)).toEqual([]);
  });

  it('is taken away when its process was killed, and only then', async () => {
    const mine = await new Scratch(base).folder();
    const child = spawn('true');
    await once(child, 'exit');
    const killed = await make(await nameLike({ pid: child.pid! }));
    const laterProcessOfThatId = await make(await nameLike({ start: '1' }));
    const alive = await make(await nameLike({ pid: process.ppid, start: '0' }));
    const otherContainer = await make(await nameLike({ pid: child.pid!, namespace: '1' }));
    const oldContainer = await make(await nameLike({ pid: child.pid!, namespace: '2' }));
    await utimes(oldContainer, 1, 1);
    const somebodys = await make('cvops-videos-of-mine');

    await new Scratch(base).sweep();
    const there = [mine, killed, laterProcessOfThatId, alive, otherContainer, oldContainer, somebodys].map(
      existsSync,
    );
    expect(there).toEqual([true, false, false, true, true, false, true]);
  });

  it('may be cleaned by the system: a new folder is made', async () => {
    const scratch = new Scratch(base);
    await scratch.folder();
    for (const name of await readdir(base)) await rm(path.join(base, name), { recursive: true });
    expect(existsSync(await scratch.folder())).toBe(true);
  });
});
