import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import { projectRoot } from '../../src/projectRoot.js';
import { testsToken } from './principals.js';
import { loadSettings } from '../../src/settings.js';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Tests run the command some hundreds of times: a fifth of what it costs to start is compiling the same files. */
export const compileCache = path.join(projectRoot, '.cvops', 'compile-cache');

/** Only tests of tracing trace operations; see globalStack.ts. */
const UNTRACED = { CVOPS_TRACE_OPERATIONS: 'off' };

/** The settings of the run's shared stack. */
export function stackSettings() {
  const { home } = inject('stack');
  return { ...loadSettings({ CVOPS_HOME: home, ...UNTRACED }), credential: `file:${testsToken(home)}` };
}

/** Runs the real command in a process of its own against the run's shared stack. */
export function cvops(...args: string[]): Promise<CommandResult> {
  return cvopsWith({}, ...args);
}

/** The same, told more. */
export async function cvopsWith(
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<CommandResult> {
  const child = spawn(process.execPath, [path.join(projectRoot, 'bin', 'cvops.js'), ...args], {
    env: {
      PATH: process.env['PATH'],
      CVOPS_HOME: inject('stack').home,
      CVOPS_TOKEN: await readFile(testsToken(inject('stack').home), 'utf8'),
      NODE_COMPILE_CACHE: compileCache,
      NO_COLOR: '1',
      ...UNTRACED,
      ...inject('s3'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** Runs it with `-o json`, wants exit 0 (or the one given), and parses stdout, which must be one JSON document. */
export async function cvopsJson<T = Record<string, unknown>>(
  args: readonly string[],
  exitCode = 0,
  env: Readonly<Record<string, string>> = {},
): Promise<T> {
  const { code, stdout, stderr } = await cvopsWith(env, ...args, '-o', 'json');
  if (code !== exitCode)
    throw new Error(`cvops ${args.join(' ')} ended with ${code}, not ${exitCode}:\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}

/** The error that a command reports with `-o json`: the last line of stderr. */
export function errorOf({ stderr }: CommandResult): { code: string; message: string; hint?: string } {
  return (
    JSON.parse(stderr.trimEnd().split('\n').at(-1)!) as {
      error: { code: string; message: string; hint?: string };
    }
  ).error;
}

/** For tenants whose ingests are not about their limits: a trial's five documents a second would be most of a test. */
export const NO_LIMIT = ['--set', 'max_qps=10000'] as const;

let counter = 0;

/** A tenant id that no other test of this or a former run has. */
export function freshTenant(what: string): string {
  return `${what}_${Date.now().toString(36)}${(counter++).toString(36)}`;
}
