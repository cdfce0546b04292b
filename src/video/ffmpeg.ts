import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import path from 'node:path';
import { type ToolName, findTool } from './tools.js';

export { findTool } from './tools.js';

/**
 * Input options that keep ffmpeg inside the one file it is given. A file named `.mp4` can be a playlist or a concat
 * script that opens other files and addresses; only containers that hold their own data are allowed, and only read from
 * a local file.
 */
const CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv';

/** The arguments that name an input; the absolute `file:` form can be read neither as an option nor as a protocol. */
export function inputArguments(file: string): string[] {
  const input = `file:${path.resolve(file)}`;
  return ['-protocol_whitelist', 'file', '-format_whitelist', CONTAINERS, '-i', input];
}

/** What a child wrote and how it ended. `stderr` holds the last 8 KiB at most. */
export interface ToolResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
}

/** ffmpeg or ffprobe did not move on in time; not an `OpsError`, as another try on a calmer machine may do. */
export class ToolTimeout extends Error {
  override readonly name = 'ToolTimeout';
}

const STDERR_BYTES = 8 * 1024;

/** A running child whose output is read by the caller; `kill` ends its whole process group. */
export interface RunningTool {
  readonly stdout: Readable;
  readonly ended: Promise<{ readonly stderr: string; readonly code: number | null }>;
  readonly kill: () => void;
}

/**
 * Starts a tool in a process group of its own. Its output goes through a pipe, so that the child ends with this process
 * even when this process is killed; its environment holds nothing of ours (`FFREPORT` would write files, the rest is not
 * its business).
 *
 * @throws AbortError, the signal's reason, when it is aborted already
 */
export function startTool(name: ToolName, args: readonly string[], signal?: AbortSignal): RunningTool {
  signal?.throwIfAborted();
  const child = spawn(findTool(name), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    env: { PATH: process.env['PATH'], LC_ALL: 'C', AV_LOG_FORCE_NOCOLOR: '1' },
    windowsHide: true,
  });
  const kill = () => killGroup(child);
  const stderr = tail(child.stderr);
  signal?.addEventListener('abort', kill, { once: true });
  const ended = new Promise<{ stderr: string; code: number | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ stderr: stderr(), code }));
  }).finally(() => signal?.removeEventListener('abort', kill));
  // Whoever stops reading early never asks how the child ended.
  ended.catch(() => undefined);
  return { stdout: child.stdout, ended, kill };
}

/**
 * Runs a tool to its end and collects its output.
 *
 * @param options.timeoutMs the child is killed after it, and `ToolTimeout` thrown
 * @param options.maxOutputBytes the child is killed when it writes more, and an error thrown
 * @throws AbortError, the signal's reason, when it aborts
 */
export async function runTool(
  name: ToolName,
  args: readonly string[],
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly timeoutMs: number;
    readonly maxOutputBytes: number;
  },
): Promise<ToolResult> {
  const tool = startTool(name, args, options.signal);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    tool.kill();
  }, options.timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > options.maxOutputBytes) {
        throw new Error(`${name} wrote more than ${options.maxOutputBytes} bytes`);
      }
      chunks.push(chunk);
    }
    const { stderr, code } = await tool.ended;
    options.signal?.throwIfAborted();
    if (late) throw new ToolTimeout(`${name} took longer than ${options.timeoutMs} ms`);
    return { stdout: Buffer.concat(chunks), stderr, code };
  } finally {
    clearTimeout(timer);
    tool.kill();
  }
}

/**
 * Cuts a tool's raw output into blocks of `bytes`. Nothing is read ahead of the caller beyond the pipe, which makes the
 * tool wait; an incomplete last block is dropped.
 *
 * @param options.stallMs time the tool may take from one read to the next; time the caller takes does not count
 */
export async function* readBlocks(
  tool: RunningTool,
  bytes: number,
  options: { readonly signal?: AbortSignal | undefined; readonly stallMs: number },
): AsyncGenerator<Uint8Array, void> {
  const source = (tool.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let block = new Uint8Array(bytes);
  let filled = 0;
  try {
    for (;;) {
      const read = await beforeStall(source.next(), options.stallMs, tool.kill);
      options.signal?.throwIfAborted();
      if (read.done) return;
      for (let at = 0; at < read.value.length;) {
        const take = Math.min(bytes - filled, read.value.length - at);
        block.set(read.value.subarray(at, at + take), filled);
        at += take;
        filled += take;
        if (filled === bytes) {
          const full = block;
          block = new Uint8Array(bytes);
          filled = 0;
          yield full;
        }
      }
    }
  } finally {
    tool.kill();
  }
}

async function beforeStall<T>(read: Promise<T>, stallMs: number, kill: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      kill();
      reject(new ToolTimeout(`ffmpeg gave no picture for ${stallMs} ms`));
    }, stallMs);
  });
  try {
    return await Promise.race([read, stalled]);
  } finally {
    clearTimeout(timer);
    read.catch(() => undefined);
  }
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
    kept = Buffer.concat([kept, chunk]);
    if (kept.length > STDERR_BYTES) kept = kept.subarray(kept.length - STDERR_BYTES);
  });
  return () => kept.toString('utf8');
}

/**
 * The last line a tool wrote on stderr, fit for a reason: without the file's path, control characters and more than 200
 * characters.
 */
export function lastComplaint(stderr: string, file: string): string {
  const lines = stderr
    .replaceAll(`file:${path.resolve(file)}: `, '')
    .replaceAll(path.resolve(file), 'file')
    .split(/[\r\n]+/)
    .map((line) =>
      line
        .replace(/\[[^\]]* @ 0x[0-9a-f]+\] ?/g, '')
        .replace(/\p{Cc}/gu, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
  return (lines.at(-1) ?? 'no reason given').slice(0, 200);
}
