import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  maintenanceUrl,
  postgresVersion,
  preparePostgres,
  preparedDatabase,
} from '../../src/embedded/postgres.js';
import { endProcess, identify, startProcess } from '../../src/embedded/processes.js';

export interface TestPostgres {
  /** Of the database `cvops`: empty, but for the schema `phoenix`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A PostgreSQL 18 of its own for a test file: a temporary folder, a free port, no fsync. Up in about 2 s. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-postgres-'));
  // Run by root, the server's user must be able to enter it.
  await chmod(folder, 0o755);
  const { command, url } = await preparePostgres(path.join(folder, 'postgres'), await freePort(), {
    fsync: false,
  });
  const child = startProcess(command, path.join(folder, 'postgres.log'));
  const identity = identify(child.pid!)!;
  // A test process that ends early takes its server with it.
  const onExit = () => void process.kill(identity.pid, 'SIGINT');
  process.once('exit', onExit);
  const stop = async () => {
    process.off('exit', onExit);
    await endProcess(identity, 'SIGINT', 10_000);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const deadline = Date.now() + 30_000;
    while (!(await postgresVersion(maintenanceUrl(url)).catch(() => undefined))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`PostgreSQL does not answer, exit code ${child.exitCode}`);
      await delay(50);
    }
    await preparedDatabase(url);
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
