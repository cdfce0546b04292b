import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/projectRoot.js';

const PACKAGE = 'vespacli==8.763.13';

export interface VespaResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The official Go command inside PyPI's `vespacli`, got once. Its Python wrapper always exits 0, so it is never called. */
export async function vespaCommand(): Promise<string> {
  const folder = path.join(projectRoot, '.cvops', 'tools', 'vespacli');
  if (!existsSync(folder)) {
    await mkdir(path.dirname(folder), { recursive: true });
    const partial = await mkdtemp(`${folder}-`);
    const { code, stderr } = await run('python3', [
      '-m',
      'pip',
      'install',
      '-q',
      '--no-deps',
      '--target',
      partial,
      PACKAGE,
    ]);
    if (code !== 0) throw new Error(`pip could not install ${PACKAGE}: ${stderr}`);
    await rename(partial, folder).catch(() => rm(partial, { recursive: true, force: true }));
  }
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  const names = await readdir(folder, { recursive: true });
  const binary = names.find((name) => name.endsWith(`${process.platform}_${arch}/bin/vespa`));
  if (binary === undefined)
    throw new Error(`${PACKAGE} has no program for ${process.platform} ${process.arch}`);
  return path.join(folder, binary);
}

/** Runs it with a home of its own, so that it reads and writes nobody's settings. */
export async function vespa(target: string, ...args: string[]): Promise<VespaResult> {
  return inOwnHome(async (env) => run(await vespaCommand(), [...args, '--target', target], env));
}

/** The same with its standard output in a file, as `vespa … > file`, for what is too much to hold. */
export async function vespaInto(
  file: string,
  target: string,
  ...args: string[]
): Promise<Omit<VespaResult, 'stdout'>> {
  const out = await open(file, 'w');
  try {
    return await inOwnHome(async (env) =>
      run(await vespaCommand(), [...args, '--target', target], env, out.fd),
    );
  } finally {
    await out.close();
  }
}

async function inOwnHome<T>(use: (env: Record<string, string>) => Promise<T>): Promise<T> {
  const home = await mkdtemp(path.join(os.tmpdir(), 'vespa-cli-'));
  try {
    return await use({ VESPA_CLI_HOME: home, VESPA_CLI_CACHE_DIR: home });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function run(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
  out: number | 'pipe' = 'pipe',
): Promise<VespaResult> {
  const child = spawn(file, args, {
    stdio: ['ignore', out, 'pipe'],
    env: { PATH: process.env['PATH'], HOME: os.tmpdir(), ...env },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
