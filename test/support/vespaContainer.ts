import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './postgres.js';
import type { Package } from './recordedConfigServer.js';
import { checker, writePackage } from './vespaChecker.js';

/** What the container says of a query: undefined when it would send it on to the content nodes, of which there are none. */
export type Refusal = string | undefined;

/** Vespa's own container with an application's `/search/`: its query parser, its schemas and inputs, no documents. */
export class VespaContainer {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {}

  static async start(files: Package): Promise<VespaContainer> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-container-'));
    await writePackage(files, folder);
    const port = await freePort();
    const child = spawn(path.join(checker, 'run.sh'), ['serve-full', folder, String(port)], {
      // It writes its logs where it stands.
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString('utf8')).slice(-2_000)));
    const container = new VespaContainer(folder, child, `http://127.0.0.1:${port}`);
    while (!(await container.answers())) {
      if (child.exitCode !== null) throw new Error(`Vespa's container ended: ${errors}`);
      await delay(100);
    }
    return container;
  }

  /** @param body parameters of `/search/` */
  async refusalOf(body: object): Promise<Refusal> {
    const answer = await fetch(`${this.url}/search/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { root } = (await answer.json()) as { root: { errors: { message: string }[] } };
    if (answer.status === 503) return undefined;
    return `${answer.status}: ${root.errors.map(({ message }) => message).join('; ')}`;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }

  private async answers(): Promise<boolean> {
    return fetch(`${this.url}/search/?yql=x`).then(
      () => true,
      () => false,
    );
  }
}
