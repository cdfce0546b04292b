import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type PortName, choosePorts, requireFreePort } from '../../src/embedded/ports.js';
import { projectRoot } from '../../src/projectRoot.js';
import { stopStack } from '../../src/embedded/supervisor.js';
import { compileCache } from './cvops.js';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** What it has printed up to now. */
  readonly output: { stdout: string; stderr: string };
  readonly finished: Promise<Finished>;
}

/**
 * A home and ports of a test's own, for tests that start, break and end a whole stack; all others use the run's shared
 * one. The Python programs are shared, so that they are installed once a machine.
 */
export class PrivateHome {
  private constructor(
    readonly home: string,
    readonly portOffset: number,
  ) {}

  static async make(): Promise<PrivateHome> {
    const home = await mkdtemp(path.join(os.tmpdir(), 'cvops-home-'));
    // Run by root, the user that PostgreSQL runs as must be able to enter it.
    await chmod(home, 0o755);
    return new PrivateHome(home, await freeOffset());
  }

  /** Starts the real command with this home; `env` adds to a clean environment. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    const child = spawn(process.execPath, [path.join(projectRoot, 'bin', 'cvops.js'), ...args], {
      env: { ...cleanEnvironment(), CVOPS_HOME: this.home, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
    const finished = new Promise<Finished>((resolve) =>
      child.once('close', (code) => resolve({ code, ...output })),
    );
    return { child, output, finished };
  }

  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Finished> {
    return this.start(args, env).finished;
  }

  async remove(): Promise<void> {
    await stopStack(this.home, { wipe: false, log: () => undefined });
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Below the ports that Linux gives to outgoing connections, and where no other stack is. */
async function freeOffset(): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const offset = 10_000 + Math.floor(Math.random() * 3000);
    try {
      for (const [name, port] of Object.entries(choosePorts({ offset }, {})))
        await requireFreePort(name as PortName, port);
      return offset;
    } catch {
      // Somebody's; the next one.
    }
  }
  throw new Error('no free ports for a stack');
}

/** The machine's own variables without those that say where a stack is. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const ours = /^(CVOPS_|TEMPORAL_|VESPA_|PHOENIX_|DATABASE_URL|ENCODER_|LOG_LEVEL|NODE_OPTIONS|VITEST)/;
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name))),
    CVOPS_VENV: process.env['CVOPS_VENV'] ?? path.join(projectRoot, '.cvops', 'venv'),
    NODE_COMPILE_CACHE: compileCache,
    NO_COLOR: '1',
  };
}
