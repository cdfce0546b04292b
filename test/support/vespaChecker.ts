import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { projectRoot } from '../../src/projectRoot.js';
import type { Package } from './recordedConfigServer.js';

/** Where `run.sh` is, described there. */
export const checker = process.env['VESPA_CHECK'] ?? path.join(projectRoot, '..', 'shared', 'vespa-check');
/** Whether Vespa's own model is on this machine: without it packages are judged by the emulator alone. */
export const checkerPresent = existsSync(path.join(checker, 'run.sh'));

export interface Verdict {
  /** 0 accepted, 1 refused by Vespa's model, 2 refused for a rank feature that the schema lacks. */
  readonly status: number;
  readonly text: string;
}

/** One JVM for all verdicts: `run.sh batch` takes the folders of one validation a line and ends each answer with its status. */
export class VespaChecker {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private readonly exited: Promise<unknown>;
  private errors = '';
  /** Folders of packages: one that is judged and then replaced is written once. */
  private readonly written = new Map<Package, string>();

  private constructor(private readonly folder: string) {
    this.child = spawn(path.join(checker, 'run.sh'), ['batch']);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.child.stderr.on('data', (chunk: Buffer) => (this.errors += chunk.toString('utf8')));
    this.child.stdin.on('error', (error) => (this.errors += error.message));
    this.exited = new Promise((resolve) => this.child.once('exit', resolve));
  }

  static async start(): Promise<VespaChecker> {
    return new VespaChecker(await mkdtemp(path.join(os.tmpdir(), 'cvops-check-')));
  }

  /** A package alone, or against the one that it replaces. */
  async validate(files: Package, previous?: Package): Promise<Verdict> {
    const dirs = [
      await this.folderOf(files),
      ...(previous === undefined ? [] : [await this.folderOf(previous)]),
    ];
    this.child.stdin.write(`--quiet ${dirs.join(' ')}\n`);
    for (let text = ''; ;) {
      const line = await this.lines.next();
      if (line.done) throw new Error(`the checker ended: ${this.errors.slice(-2000)}`);
      const status = /^status (\d+)$/.exec(line.value)?.[1];
      if (status !== undefined) return { status: Number(status), text };
      text += `${line.value}\n`;
    }
  }

  async close(): Promise<void> {
    this.child.stdin.end();
    await this.exited;
    await rm(this.folder, { recursive: true, force: true });
  }

  private async folderOf(files: Package): Promise<string> {
    const there = this.written.get(files);
    if (there !== undefined) return there;
    const dir = path.join(this.folder, `package-${this.written.size}`);
    await writePackage(files, dir);
    this.written.set(files, dir);
    return dir;
  }
}

export async function writePackage(files: Package, dir: string): Promise<void> {
  for (const [name, body] of files) {
    const file = path.join(dir, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, body);
  }
}
