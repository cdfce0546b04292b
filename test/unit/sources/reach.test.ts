import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import { parseSourcePlaces } from '../../../src/domain/sourcePlaces.js';
import { checkMemoryFile } from '../../../src/memory/file/read.js';
import { writeMemoryFile } from '../../../src/memory/file/write.js';
import { openFile } from '../../../src/sources/files.js';
import { type Reach, reachOf } from '../../../src/sources/reach.js';
import { Sources } from '../../../src/sources/sources.js';
import { readSidecar } from '../../../src/video/sidecar.js';
import { resolveVideo, walkVideos } from '../../../src/video/discover.js';
import { collect, temporaryFolder } from '../../support/videos.js';

const sources = new Sources({ s3Endpoint: '' });
const DENIED = expect.objectContaining({ type: 'PermissionDenied', hint: expect.any(String) });

let root: string;
let reach: Reach;
const at = (name: string) => path.join(root, name);
const file = async (name: string, body = name) => {
  await mkdir(path.dirname(at(name)), { recursive: true });
  await writeFile(at(name), body);
};
const listed = async (source: string) =>
  (await collect((await sources.reader(source, reach)).list({ fingerprints: false })))
    .flat()
    .map((entry) => entry.path);
/** What is read when a video of a source is opened. */
const read = async (source: string, name: string) => {
  await using opened = await (await sources.reader(source, reach)).open(name);
  return await readFile(opened.file, 'utf8');
};

beforeEach(async () => {
  root = await temporaryFolder();
  reach = reachOf(parseSourcePlaces([`${root}/videos/{tenant}/`]), parseTenantId('acme'));
  await file('videos/acme/a.mp4');
  await file('videos/acme/day/b.mp4');
  await file('videos/acme_2/theirs.mp4');
  await file('secret.mp4');
});

describe('a folder', () => {
  it('in the place is listed and read, that the place itself is a link of the installation’s is fine', async () => {
    expect(await listed(at('videos/acme'))).toEqual(['a.mp4', 'day/b.mp4']);
    expect(await read(at('videos/acme/day'), 'b.mp4')).toBe('videos/acme/day/b.mp4');
    await rename(at('videos/acme'), at('disk2'));
    await symlink(at('disk2'), at('videos/acme'));
    expect(await listed(at('videos/acme'))).toEqual(['a.mp4', 'day/b.mp4']);
    expect(await read(at('videos/acme'), 'a.mp4')).toBe('videos/acme/a.mp4');
  });

  it('that leads out of it is refused, what it is or not', async () => {
    await symlink(at('videos/acme_2'), at('videos/acme/out'));
    await symlink('/proc/self/root', at('videos/acme/everything'));
    await symlink(at('videos/acme'), at('videos/acme_2/in'));
    for (const name of ['acme/out', 'acme/everything', 'acme_2', 'acme_2/in', 'acme/../acme_2', ''])
      await expect(listed(path.join(root, 'videos') + `/${name}`), name).rejects.toEqual(DENIED);
    await expect(read(at('videos/acme/out'), 'theirs.mp4')).rejects.toEqual(DENIED);
  });

  it('below the tenant’s own segment is not believed to be the place when it is a link', async () => {
    reach = reachOf(parseSourcePlaces([`${root}/videos/{tenant}/in/`]), parseTenantId('acme'));
    await symlink(at('videos/acme_2'), at('videos/acme/in'));
    await expect(listed(at('videos/acme/in'))).rejects.toEqual(DENIED);
    await rm(at('videos/acme/in'));
    await file('videos/acme/in/c.mp4');
    expect(await listed(at('videos/acme/in'))).toEqual(['c.mp4']);
  });

  it('that becomes a link while it is listed shows nothing of where it leads', async () => {
    const swapped = async (name: string) => {
      if (name.endsWith('/day')) {
        await rm(at('videos/acme/day'), { recursive: true });
        await symlink(at('videos/acme_2'), at('videos/acme/day'));
      }
      return reach.pin(name);
    };
    await expect(collect(walkVideos(at('videos/acme'), undefined, swapped))).rejects.toEqual(DENIED);
  });
});

describe('a list', () => {
  it('names files in the place, itself there', async () => {
    await file('videos/acme/new.txt', `a.mp4\n${at('videos/acme/day/b.mp4')}\n./day/../a.mp4\n`);
    const list = `list:${at('videos/acme/new.txt')}`;
    expect(await listed(list)).toEqual(['a.mp4', 'day/b.mp4', 'a.mp4']);
    expect(await read(list, 'day/b.mp4')).toBe('videos/acme/day/b.mp4');
  });

  it.each(['../acme_2/theirs.mp4', '/etc/passwd', 'day/../../../secret.mp4'])(
    'with the line %s is refused as a whole, and the line by itself',
    async (line) => {
      await file('videos/acme/new.txt', `a.mp4\n${line}\n`);
      const list = `list:${at('videos/acme/new.txt')}`;
      await expect(listed(list)).rejects.toEqual(DENIED);
      await expect(read(list, line)).rejects.toEqual(DENIED);
    },
  );

  it('that is a link out, and a link out that it names, are refused', async () => {
    await file('names.txt', 'a.mp4\n');
    await symlink(at('names.txt'), at('videos/acme/link.txt'));
    await expect(listed(`list:${at('videos/acme/link.txt')}`)).rejects.toEqual(DENIED);
    await symlink(at('secret.mp4'), at('videos/acme/link.mp4'));
    await file('videos/acme/new.txt', 'link.mp4\n');
    await expect(read(`list:${at('videos/acme/new.txt')}`, 'link.mp4')).rejects.toEqual(DENIED);
  });
});

describe('a video', () => {
  const open = (name = 'a.mp4', meanwhile: () => Promise<void> = async () => undefined) => {
    const resolve = async () => {
      const real = await resolveVideo(at('videos/acme'), name);
      await meanwhile();
      return real;
    };
    return openFile(name, resolve, reach.pin);
  };

  it('that becomes a link between check and opening is refused, itself or its folder', async () => {
    const byFile = open('a.mp4', async () => {
      await rm(at('videos/acme/a.mp4'));
      await symlink(at('secret.mp4'), at('videos/acme/a.mp4'));
    });
    await expect(byFile).rejects.toEqual(DENIED);
    await file('videos/acme_2/b.mp4');
    const byFolder = open('day/b.mp4', async () => {
      await rm(at('videos/acme/day'), { recursive: true });
      await symlink(at('videos/acme_2'), at('videos/acme/day'));
    });
    await expect(byFolder).rejects.toEqual(DENIED);
  });

  it('once opened stays what it was, for children and side-cars too, whatever its names become', async () => {
    await file('videos/acme/a.json', '{"title": "Mine"}');
    await file('videos/acme_2/a.json', '{"title": "Theirs"}');
    await using opened = await open();
    await rename(at('videos/acme'), at('videos/before'));
    await symlink(at('videos/acme_2'), at('videos/acme'));
    const { stdout } = await promisify(execFile)('cat', [opened.file]);
    expect([await readFile(opened.file, 'utf8'), stdout]).toEqual(['videos/acme/a.mp4', 'videos/acme/a.mp4']);
    expect((await readSidecar(opened.beside!)).title).toBe('Mine');
    await symlink(at('videos/acme_2/a.json'), at('videos/before/a.vtt'));
    await expect(readSidecar(opened.beside!)).rejects.toMatchObject({
      message: expect.stringMatching('a link'),
    });
  });

  it('is let go of, also where it was refused', async () => {
    const held = async () => (await readdir('/proc/self/fd')).length;
    const before = await held();
    for (let i = 0; i < 20; i++) {
      await (await open())[Symbol.asyncDispose]();
      await expect(reach.pin(at('secret.mp4'))).rejects.toEqual(DENIED);
    }
    expect(await held()).toBeLessThan(before + 20);
  });

  it('that is a pipe or a device is neither read nor waited for', async () => {
    await promisify(execFile)('mkfifo', [at('videos/acme/pipe')]);
    const refused = expect.objectContaining({ message: 'unreadable: a device, pipe or socket, not a file' });
    await expect(reach.pin(at('videos/acme/pipe'))).rejects.toEqual(refused);
    await expect(reach.pin('/dev/null')).rejects.toEqual(DENIED);
  });
});

describe('a file of memories', () => {
  const written = async (name: string) => {
    await mkdir(path.dirname(at(name)), { recursive: true });
    return writeMemoryFile(at(name), parseTenantId('acme_2'), (async function* () {})());
  };
  const signal = new AbortController().signal;

  it('is read in the place, and not out of it by a link', async () => {
    const end = await written('videos/acme/memories.jsonl');
    expect(await checkMemoryFile(at('videos/acme/memories.jsonl'), { signal, reach })).toEqual(end);
    await written('videos/acme_2/memories.jsonl');
    await symlink(at('videos/acme_2/memories.jsonl'), at('videos/acme/link.jsonl'));
    for (const name of ['acme/link.jsonl', 'acme_2/memories.jsonl', 'acme/../acme_2/memories.jsonl'])
      await expect(checkMemoryFile(`${at('videos')}/${name}`, { signal, reach }), name).rejects.toEqual(
        DENIED,
      );
    // Its name is told, not that of the descriptor.
    await expect(checkMemoryFile(at('videos/acme/a.mp4'), { signal, reach })).rejects.toThrow(
      at('videos/acme/a.mp4'),
    );
  });
});

describe('objects', () => {
  it('are fetched below the prefix only, whatever the ledger names', async () => {
    const of = reachOf(parseSourcePlaces(['s3://films/{tenant}/']), parseTenantId('acme'));
    const reader = await sources.reader('s3://films/acme/day/', of);
    for (const key of ['acme_2/x.mp4', 'acme/../acme_2/x.mp4', 'acme', 'acme/./x.mp4'])
      await expect(reader.open(`s3://films/${key}`), key).rejects.toEqual(DENIED);
    await expect(sources.reader('s3://films/acme_2/', of)).rejects.toEqual(DENIED);
    await expect(sources.reader('/films/acme/', of)).rejects.toEqual(DENIED);
  });
});
