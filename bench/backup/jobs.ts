import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { digestSchema } from '../../src/backup/documents/digestSlice.js';
import { built } from '../../src/embedded/services/built.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { feedAll } from '../../src/vespa/feeding/feeder.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { type BodyKind, readFeedFile, writeFeedFile } from '../feedFile.js';
import { COLPALI, FeedServer, SMALL } from '../feedServer.js';
import type { WorkerSaid } from './worker.js';

export interface Job {
  readonly row: string;
  readonly kind: BodyKind;
  readonly schema: string;
  readonly documents: number;
  readonly rounds: number;
  /** Without a peer: only memory and the count are of interest. */
  readonly alone?: boolean;
}

const ROUNDS = 3;
const LINES_OF_1_GB = 1_800;

const JOBS: Readonly<Record<string, Job>> = {
  small: {
    row: '20,000 small documents',
    kind: 'small',
    schema: SMALL,
    documents: 20_000,
    rounds: ROUNDS,
  },
  colpali: {
    row: '2,000 ColPali documents of 1,024 × 128',
    kind: 'colpali',
    schema: COLPALI,
    documents: 2_000,
    rounds: ROUNDS,
  },
  '1gb': {
    row: '1 GB of ColPali documents',
    kind: 'colpali',
    schema: COLPALI,
    documents: LINES_OF_1_GB,
    rounds: 1,
    alone: true,
  },
  '4gb': {
    row: '4 GB of ColPali documents',
    kind: 'colpali',
    schema: COLPALI,
    documents: 4 * LINES_OF_1_GB,
    rounds: 1,
    alone: true,
  },
};

/** `--only small,colpali,1gb,4gb`; `--quick` is one round of the first two. */
export function jobsOf(args: readonly string[]): Job[] {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: 'string' }, quick: { type: 'boolean', default: false } },
  });
  const names =
    values.only?.split(',') ?? Object.keys(JOBS).filter((name) => !values.quick || !JOBS[name]!.alone);
  return names.map((name) => {
    const job = JOBS[name];
    if (job === undefined) throw new Error(`no row ${name}: ${Object.keys(JOBS).join(', ')}`);
    return values.quick ? { ...job, rounds: 1 } : job;
  });
}

/** A server that holds a job's documents, in a folder that goes with it. */
export class Filled implements AsyncDisposable {
  readonly client: DocumentClient;

  private constructor(
    readonly job: Job,
    readonly folder: string,
    readonly server: FeedServer,
  ) {
    this.client = new DocumentClient(server.url, { connections: 64 });
  }

  static async start(job: Job): Promise<Filled> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-bench-'));
    const filled = new Filled(job, folder, await FeedServer.start(folder));
    try {
      const file = filled.file('feed.jsonl');
      await writeFeedFile(file, job.schema, job.kind, job.documents);
      const { acknowledged } = await feedAll(filled.client, readFeedFile(file));
      if (acknowledged !== job.documents) throw new Error(`only ${acknowledged} documents were fed`);
      await rm(file);
      return filled;
    } catch (error) {
      await filled[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  note(line: string): void {
    process.stderr.write(`${this.job.row}: ${line}\n`);
  }

  /** Count and digest of what the server holds now. */
  totals() {
    return digestSchema(this.client, { cluster: CONTENT_CLUSTER, schema: this.job.schema }, 4);
  }

  /** Our side; see `worker.ts`. */
  async ours(mode: 'backup' | 'restore', folder: string, ...flags: string[]): Promise<WorkerSaid> {
    const { schema, documents } = this.job;
    const args = ['--url', this.server.url, '--schema', schema, '--folder', folder];
    const { stdout } = await promisify(execFile)(process.execPath, [
      built('bench/backup/worker.js'),
      mode,
      ...args,
      ...flags,
      '--documents',
      String(documents),
    ]);
    return JSON.parse(stdout) as WorkerSaid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
