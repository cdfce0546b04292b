import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

/** One old log is kept beside the new one; a service that runs for months is not this stack's purpose. */
const ROTATE_BYTES = 20 << 20;
/** What a service prints while it starts is far less. */
const READ_BYTES = 1 << 20;

export function logPath(home: string, name: string): string {
  return path.join(home, 'logs', `${name}.log`);
}

/** Makes the log ready for a start. @returns its size: where what this start prints will begin */
export function openLog(home: string, name: string): number {
  const file = logPath(home, name);
  mkdirSync(path.dirname(file), { recursive: true });
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size < ROTATE_BYTES) return size;
  renameSync(file, `${file}.1`);
  return 0;
}

export function readLog(home: string, name: string, start: number): string {
  let fd: number;
  try {
    fd = openSync(logPath(home, name), 'r');
  } catch {
    return '';
  }
  try {
    const buffer = Buffer.alloc(Math.min(READ_BYTES, Math.max(0, fstatSync(fd).size - start)));
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, start));
  } finally {
    closeSync(fd);
  }
}

/** For an error message: the end says why, the rest is in the file. */
export function lastLines(text: string, count = 8): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
