import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type ToolName, findTool } from './tools.js';

/**
 * Address space of one tool: 4 GiB. H.264 of 8192 × 8192 (the largest accepted picture) is decoded within 1 GiB; a stream
 * may ask for 16 reference pictures.
 */
const MAX_ADDRESS_SPACE_KIB = 4 << 20;

const SHELL = '/bin/sh';

/**
 * Runs `"$@"` for as long as fd 0 stays open at the other end. Nobody writes to it: it ends when the process that holds it
 * does, also by SIGKILL, and then `read` returns and the group is killed. A tool that writes would end by its broken pipe;
 * one that reads, or hangs, would not.
 */
const LIFELINE = `
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
ulimit -c 0
ulimit -v ${MAX_ADDRESS_SPACE_KIB} 2>/dev/null
"$@" 3<&-
code=$?
kill -KILL $!
exit $code`;

const STDERR_BYTES = 8 * 1024;

export interface ToolEnd {
  /** The last 8 KiB at most. */
  readonly stderr: string;
  /** Exit code; null when it was killed. */
  readonly code: number | null;
}

/** A running child whose output is read by the caller. */
export interface RunningTool {
  readonly stdout: Readable;
  /** Settles when it has ended with all its output, or at once when it is killed. */
  readonly ended: Promise<ToolEnd>;
  /** Ends its whole process group, and the output: what escaped from the group and holds the pipe is not waited for. */
  readonly kill: () => void;
}

/**
 * Starts a tool in a process group of its own, which ends with this process however that ends. Its environment holds
 * nothing of ours (`FFREPORT` would write files, the rest is not its business). Without `/bin/sh` (Windows, images of
 * nothing but Node) the lifeline and the bound on memory are missing.
 *
 * @throws AbortError, the signal's reason, when it is aborted already
 */
export function startTool(name: ToolName, args: readonly string[], signal?: AbortSignal): RunningTool {
  signal?.throwIfAborted();
  const tool = findTool(name);
  const [file, all] = existsSync(SHELL) ? [SHELL, ['-c', LIFELINE, name, tool, ...args]] : [tool, args];
  const child = spawn(file, all, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    env: { PATH: process.env['PATH'], LC_ALL: 'C', AV_LOG_FORCE_NOCOLOR: '1' },
    windowsHide: true,
  });
  const stderr = tail(child.stderr);
  let killed = () => {};
  const kill = () => {
    killGroup(child);
    child.stdout.destroy();
    child.stderr.destroy();
    killed();
  };
  signal?.addEventListener('abort', kill, { once: true });
  const ended = new Promise<ToolEnd>((resolve, reject) => {
    killed = () => resolve({ stderr: stderr(), code: null });
    child.once('error', reject);
    child.once('close', (code) => resolve({ stderr: stderr(), code }));
  }).finally(() => signal?.removeEventListener('abort', kill));
  // Whoever stops reading early never asks how the child ended.
  ended.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  return { stdout: child.stdout, ended, kill };
}

function killGroup(child: ChildProcess): void {
  // An ended child's process id may belong to somebody else by now.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Keeps the end of a stream: a damaged file makes ffmpeg write a line for each of its frames. */
function tail(stream: Readable): () => string {
  let kept = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-STDERR_BYTES);
  });
  return () => kept.toString('utf8');
}
