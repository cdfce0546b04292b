import { Connections } from '../../src/client/connections.js';
import { loadSettings } from '../../src/settings.js';
import { type TestRegistry, startTestRegistry } from './registry.js';
import { WorkflowBench } from './workflows.js';

/** A registry and a Temporal server of a test's own, and a client's connections to both, as the principal `tests`. */
export class ConnectedBench implements AsyncDisposable {
  private constructor(
    readonly registry: TestRegistry,
    readonly bench: WorkflowBench,
    readonly connections: Connections,
  ) {}

  static async start(): Promise<ConnectedBench> {
    const [registry, bench] = await Promise.all([startTestRegistry(), WorkflowBench.start()]);
    const connections = await Connections.open({
      ...loadSettings({ CVOPS_PRINCIPAL: 'tests', DATABASE_URL: registry.url }),
      temporalAddress: bench.env.address,
    });
    return new ConnectedBench(registry, bench, connections);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.close();
    await this.bench.stop();
    await this.registry.stop();
  }
}
