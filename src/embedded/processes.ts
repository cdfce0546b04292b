import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { processStat } from '../processStat.js';

/** Names a process for good: a pid alone is given to a stranger sooner or later. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly started: string;
}

export function identify(pid: number): ProcessIdentity | undefined {
  const started = startTime(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return startTime(pid) === started;
}

/** When a process began, in the system's own terms; undefined when there is none (a zombie counts as none). */
function startTime(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = processStat(pid);
      return stat?.state === 'Z' ? undefined : stat?.started;
    }
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}

/** What a process was started with; empty when there is none. */
export function commandLine(pid: number): string {
  try {
    return process.platform === 'linux'
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }).trim();
  } catch {
    return '';
  }
}

/**
 * Asks a process and its group to end, waits, then kills. Nothing there is success.
 *
 * @param options `group: false` leaves the others of its group alone
 */
export async function endProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
  graceMs: number,
  options: { readonly group: boolean } = { group: true },
): Promise<void> {
  const send = (what: NodeJS.Signals) =>
    options.group ? signalGroup(identity.pid, what) : signalOne(identity.pid, what);
  if (!isRunning(identity)) return;
  send(signal);
  const deadline = Date.now() + graceMs;
  while (isRunning(identity) && Date.now() < deadline) await delay(30);
  if (!isRunning(identity)) return;
  send('SIGKILL');
  while (isRunning(identity)) await delay(30);
}

/** Signals a process group that we made, or the process alone when it leads none. Nothing there is success. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (!signalOne(-pid, signal)) signalOne(pid, signal);
}

function signalOne(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false; // Gone meanwhile.
  }
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Inherited variables it must not see; `env` is added after. */
  readonly without?: (variable: string) => boolean;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Starts a service in a process group of its own, so that a Ctrl-C meant for us does not end it out of order. */
export function startProcess(command: Command, logFile: string): ChildProcess {
  const log = openSync(logFile, 'a');
  try {
    return spawn(command.file, command.args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: environment(command),
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      ...(command.uid === undefined ? {} : { uid: command.uid }),
      ...(command.gid === undefined ? {} : { gid: command.gid }),
    });
  } finally {
    closeSync(log);
  }
}

function environment({ env, without }: Command): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !without?.(name));
  return { ...Object.fromEntries(inherited), ...env };
}

/** Runs a command to its end, giving each line of its output to `onLine`. @throws Error with the last lines when it fails */
export async function runCommand(
  command: Command,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const child = spawn(command.file, command.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(command),
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid }),
    ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' as const }),
  });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.filter((l) => l.trim() !== '')) {
        last.push(line);
        if (last.length > 15) last.shift();
        onLine(line);
      }
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command.file} ended with ${code ?? 'a signal'}:\n${last.join('\n')}`);
}

/** Replaces a small file in one step: a reader, or a crash, sees the old or the new one. */
export function writeWhole(file: string, text: string): void {
  const partial = `${file}.${process.pid}.partial`;
  writeFileSync(partial, text, { mode: 0o600 });
  renameSync(partial, file);
}
