import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { processStat } from '../processStat.js';

/** An activity ends within six hours (workflows/options.ts): an older folder of a machine that is gone is nobody's. */
const FOREIGN_AGE_MS = 24 * 3_600_000;
const NAME = /^cvops-videos-(\d+)-(\d+)-(\d+)-([0-9a-f]{8})-/;

/**
 * This process's folder for fetched videos in the system's temporary one (`TMPDIR`), mode 0700. Its name says whose it
 * is, so that the next process can take away what a killed one left, and only that.
 */
export class Scratch {
  private root: Promise<string> | undefined;

  constructor(private readonly base = os.tmpdir()) {}

  /** A new empty folder; the caller removes it. */
  async folder(): Promise<string> {
    try {
      return await this.make();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // Systems clean their temporary folder of what has not been used for days.
      this.root = undefined;
      return this.make();
    }
  }

  /** Removes the folders of processes that are no more. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.base)) {
      const folder = path.join(this.base, name);
      if (await isLeft(folder, name)) await rm(folder, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    if (this.root !== undefined) await rm(await this.root, { recursive: true, force: true });
  }

  private async make(): Promise<string> {
    this.root ??= mkdtemp(path.join(this.base, prefixOf(process.pid))).catch((error: unknown) => {
      this.root = undefined;
      throw error;
    });
    return mkdtemp(path.join(await this.root, 'v-'));
  }
}

/** Process, when it began, its PID namespace (containers count from 1 each), its machine. */
function prefixOf(pid: number): string {
  return `cvops-videos-${pid}-${processStat(pid)?.started ?? 0}-${pidNamespace()}-${machine()}-`;
}

async function isLeft(folder: string, name: string): Promise<boolean> {
  const [, pid, start, namespace, host] = NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  try {
    const stat = await lstat(folder);
    // Anybody may make a folder of such a name in a shared temporary folder.
    if (!stat.isDirectory() || (process.getuid && stat.uid !== process.getuid())) return false;
    if (host !== machine() || namespace !== pidNamespace()) return Date.now() - stat.mtimeMs > FOREIGN_AGE_MS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  if (!isAlive(Number(pid))) return true;
  const now = processStat(Number(pid))?.started;
  return now !== undefined && start !== '0' && now !== start;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

function machine(): string {
  return createHash('sha256').update(os.hostname()).digest('hex').slice(0, 8);
}
