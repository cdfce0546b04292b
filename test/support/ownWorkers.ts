import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { inject } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/domain/searchAttributes.js';
import { addressVariables } from '../../src/embedded/addresses.js';
import { READY_LINE } from '../../src/embedded/services/worker.js';
import { projectRoot } from '../../src/projectRoot.js';

const KEYWORD = 2;

/**
 * Workers of a test's own on the run's shared servers, to be killed as it likes: in a Temporal namespace of their own, so
 * that the stack's workers do not do their work, and without a supervisor's pauses.
 */
export class OwnWorkers {
  private readonly running = new Set<ChildProcess>();

  private constructor(
    private readonly connection: Connection,
    readonly namespace: string,
  ) {}

  static async open(namespace: string): Promise<OwnWorkers> {
    const connection = await Connection.connect({ address: inject('stack').addresses.temporalAddress });
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    const attributes = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => [name, KEYWORD]);
    const searchAttributes = Object.fromEntries(attributes) as Record<string, number>;
    // The server takes some seconds to know a new namespace everywhere.
    for (let tries = 1; ; tries++) {
      try {
        await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
        break;
      } catch (error) {
        if (tries === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    return new OwnWorkers(connection, namespace);
  }

  /** What the command needs to be told to use them. */
  get environment(): Record<string, string> {
    return { TEMPORAL_NAMESPACE: this.namespace };
  }

  /**
   * A worker that polls.
   *
   * @param program below `dist/`
   */
  async start(
    role: 'control' | 'data',
    env: Readonly<Record<string, string>> = {},
    program = 'workers/main.js',
  ): Promise<ChildProcess> {
    const { home, addresses } = inject('stack');
    const child = spawn(process.execPath, [path.join(projectRoot, 'dist', program), role], {
      env: {
        PATH: process.env['PATH'],
        ...addressVariables(addresses),
        ...this.environment,
        CVOPS_HOME: home,
        CVOPS_TRACE_OPERATIONS: 'off',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.running.add(child);
    child.once('close', () => this.running.delete(child));
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const hear = (text: string) => {
        said = (said + text).slice(-5_000);
        if (text.includes(READY_LINE)) resolve();
      };
      child.stdout.setEncoding('utf8').on('data', hear);
      child.stderr.setEncoding('utf8').on('data', hear);
      child.once('close', () => reject(new Error(`worker ${role} ended:\n${said}`)));
    });
    return child;
  }

  async close(): Promise<void> {
    const ended = [...this.running].map((child) => new Promise((resolve) => child.once('close', resolve)));
    for (const child of this.running) child.kill('SIGKILL');
    await Promise.all(ended);
    await this.connection.operatorService.deleteNamespace({ namespace: this.namespace });
    await this.connection.close();
  }
}
