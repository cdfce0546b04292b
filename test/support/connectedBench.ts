import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ensureAccessFiles } from '../../src/access/keyFiles.js';
import { Connections } from '../../src/client/connections.js';
import { loadSettings } from '../../src/settings.js';
import { type TestRegistry, startTestRegistry } from './registry.js';
import { testsToken, writeTestsToken } from './principals.js';
import { WorkflowBench } from './workflows.js';

/** A registry and a Temporal server of a test's own, and a client's connections to both, as the principal `tests`. */
export class ConnectedBench implements AsyncDisposable {
  private constructor(
    readonly registry: TestRegistry,
    readonly bench: WorkflowBench,
    readonly connections: Connections,
    private readonly home: string,
  ) {}

  static async start(): Promise<ConnectedBench> {
    const [registry, bench] = await Promise.all([startTestRegistry(), WorkflowBench.start()]);
    const home = await mkdtemp(path.join(os.tmpdir(), 'cvops-access-'));
    await ensureAccessFiles(path.join(home, 'keys'), 'cvops');
    await writeTestsToken(home);
    const connections = await Connections.open({
      ...loadSettings({ CVOPS_HOME: home, DATABASE_URL: registry.url }),
      credential: `file:${testsToken(home)}`,
      temporalAddress: bench.env.address,
    });
    return new ConnectedBench(registry, bench, connections, home);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.close();
    await this.bench.stop();
    await this.registry.stop();
    await rm(this.home, { recursive: true });
  }
}
