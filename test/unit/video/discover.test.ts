import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { resolveVideo, walkVideos } from '../../../src/video/discover.js';
import { collect, temporaryFolder } from '../../support/videos.js';

let root: string;
beforeEach(async () => {
  root = await temporaryFolder();
});

async function files(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), 'x');
  }
}

describe('walkVideos', () => {
  it('lists videos below a folder, in any case, in one order everywhere', async () => {
    await files(
      'b.mp4',
      'a/z.MP4',
      'a/b/c.Mp4',
      'Z.mp4',
      'é.mp4',
      'notes.txt',
      'x.mp4.part',
      'mp4',
      '._b.mp4',
      '.hidden.mp4',
    );
    expect(await collect(walkVideos(root))).toEqual([
      '.hidden.mp4',
      'Z.mp4',
      'a/b/c.Mp4',
      'a/z.MP4',
      'b.mp4',
      'é.mp4',
    ]);
  });

  it('does not follow links to folders, and lists what is named like a video and is none', async () => {
    await files('real/one.mp4', 'empty.mp4/readme.txt', 'full.mp4/two.mp4');
    await symlink('..', path.join(root, 'real', 'loop'));
    await symlink('/', path.join(root, 'everything'));
    await symlink('real/one.mp4', path.join(root, 'inside.mp4'));
    await symlink('/etc/hostname', path.join(root, 'outside.mp4'));
    await symlink('nothing', path.join(root, 'broken.mp4'));
    expect(await collect(walkVideos(root))).toEqual([
      'broken.mp4',
      'empty.mp4',
      'full.mp4/two.mp4',
      'inside.mp4',
      'outside.mp4',
      'real/one.mp4',
    ]);
  });

  it.each([
    ['gone', /^no such folder: /],
    ['file.mp4', /^not a folder: /],
  ])('refuses %s as bad input, with what to do next', async (name, message) => {
    await files('file.mp4');
    await expect(collect(walkVideos(path.join(root, name)))).rejects.toMatchObject({
      type: 'InvalidInput',
      exitCode: 2,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/\w+/),
    });
  });

  it('ends with its signal', async () => {
    await files('a.mp4');
    await expect(collect(walkVideos(root, AbortSignal.abort(new Error('enough'))))).rejects.toThrow('enough');
  });
});

describe('resolveVideo', () => {
  it('gives the file behind a path and behind a link within the folder', async () => {
    await files('real/one.mp4');
    await symlink('real/one.mp4', path.join(root, 'inside.mp4'));
    const real = await resolveVideo(root, 'real/one.mp4');
    expect(real.endsWith(path.join('real', 'one.mp4'))).toBe(true);
    expect(await resolveVideo(root, 'inside.mp4')).toBe(real);
  });

  it.each([
    ['../other.mp4', 'it is outside the folder'],
    ['a/../../x.mp4', 'it is outside the folder'],
    ['', 'it is outside the folder'],
    ['zero\0.mp4', 'its name holds a zero byte'],
    ['gone.mp4', 'no such file, or a link to nothing'],
    ['outside.mp4', 'a link that leads out of the folder'],
    ['loop.mp4', 'a chain of links that never ends'],
    ['bad-\ufffd.mp4', 'its name is not UTF-8'],
  ])('refuses %j: %s', async (relative, why) => {
    await symlink('/etc/hostname', path.join(root, 'outside.mp4'));
    await symlink('loop.mp4', path.join(root, 'loop.mp4'));
    await expect(resolveVideo(root, relative)).rejects.toMatchObject({
      type: 'Rejected',
      message: `unreadable: ${why}`,
    });
  });

  it('lists and refuses a name that is not UTF-8, as Node cannot open it', async () => {
    await writeFile(
      Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9]), Buffer.from('.mp4')]),
      'x',
    );
    const [name] = await collect(walkVideos(root));
    await expect(resolveVideo(root, name!)).rejects.toThrow('unreadable: its name is not UTF-8');
  });
});
