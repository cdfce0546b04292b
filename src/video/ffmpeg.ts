import path from 'node:path';
import { type RunningTool, startTool } from './child.js';
import type { ToolName } from './tools.js';

export { startTool } from './child.js';
export { findTool } from './tools.js';

/**
 * Input options that keep ffmpeg inside the one file it is given. A file named `.mp4` can be a playlist or a concat
 * script that opens other files and addresses; only containers that hold their own data are allowed, and only read from
 * a local file.
 */
const CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv';

/**
 * The largest piece of memory a tool asks for: a picture of 8192 × 8192 in 16 bits is 400 MB. An index of 10⁹ frames, which
 * a header of a few bytes can promise, would be 24 GB.
 */
const MAX_ALLOC = String(512 << 20);

/** The arguments that name an input; the absolute `file:` form can be read neither as an option nor as a protocol. */
export function inputArguments(file: string): string[] {
  const input = `file:${path.resolve(file)}`;
  const limits = ['-max_alloc', MAX_ALLOC, '-protocol_whitelist', 'file', '-format_whitelist', CONTAINERS];
  return [...limits, '-i', input];
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

/** More output than any video has cause for. */
export class ToolFlood extends Error {
  override readonly name = 'ToolFlood';
}

/**
 * Runs a tool to its end and collects its output.
 *
 * @param options.timeoutMs the child is killed after it, and `ToolTimeout` thrown
 * @param options.maxOutputBytes the child is killed when it writes more, and `ToolFlood` thrown
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
  let late: ToolTimeout | undefined;
  const timer = setTimeout(() => {
    late = new ToolTimeout(`${name} took longer than ${options.timeoutMs} ms`);
    tool.kill();
  }, options.timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > options.maxOutputBytes)
        throw new ToolFlood(`${name} wrote more than ${options.maxOutputBytes} bytes`);
      chunks.push(chunk);
    }
    const { stderr, code } = await tool.ended;
    options.signal?.throwIfAborted();
    if (late) throw late;
    return { stdout: Buffer.concat(chunks), stderr, code };
  } catch (error) {
    // Its output was cut off; why is what matters.
    options.signal?.throwIfAborted();
    throw late ?? error;
  } finally {
    clearTimeout(timer);
    tool.kill();
  }
}

/**
 * Cuts a tool's raw output into blocks of `bytes`. Nothing is read ahead of the caller beyond the pipe, which makes the
 * tool wait; an incomplete last block is dropped. When it is through, the tool has ended.
 *
 * @param options.stallMs time the tool may take for one block, and for its end; time the caller takes does not count
 * @throws ToolTimeout
 */
export async function* readBlocks(
  tool: RunningTool,
  bytes: number,
  options: { readonly signal?: AbortSignal | undefined; readonly stallMs: number },
): AsyncGenerator<Uint8Array, void> {
  const { signal, stallMs } = options;
  const source = (tool.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let block = new Uint8Array(bytes);
  let filled = 0;
  let left = stallMs;
  const inTime = async <T>(what: Promise<T>): Promise<T> => {
    const began = performance.now();
    try {
      return await beforeStall(what, left, () => new ToolTimeout(`ffmpeg gave no picture for ${stallMs} ms`));
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      left -= performance.now() - began;
    }
  };
  try {
    for (;;) {
      const read = await inTime(source.next());
      signal?.throwIfAborted();
      if (read.done) break;
      for (let at = 0; at < read.value.length;) {
        const take = Math.min(bytes - filled, read.value.length - at);
        block.set(read.value.subarray(at, at + take), filled);
        at += take;
        filled += take;
        if (filled === bytes) {
          const full = block;
          block = new Uint8Array(bytes);
          filled = 0;
          left = stallMs;
          yield full;
        }
      }
    }
    await inTime(tool.ended);
  } finally {
    tool.kill();
  }
}

async function beforeStall<T>(what: Promise<T>, ms: number, stalled: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(stalled()), Math.max(0, ms));
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
    what.catch(() => undefined);
  }
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
