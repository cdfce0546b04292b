import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { CvopsClient, type OperationHandle } from '../../src/client/index.js';
import type { IngestProgress } from '../../src/contracts/ingest.js';
import { parseIncarnation, parseTenantId } from '../../src/domain/ids.js';
import { addressVariables } from '../../src/embedded/addresses.js';
import { endProcess, identify, signalGroup } from '../../src/embedded/processes.js';
import { readRecords } from '../../src/embedded/records.js';
import { built } from '../../src/embedded/services/built.js';
import type { ServiceName } from '../../src/embedded/services/index.js';
import { READY_LINE, workerVariables } from '../../src/embedded/services/worker.js';
import { type Stack, startStack } from '../../src/embedded/stack.js';
import { type Pool, openPool } from '../../src/registry/database.js';
import { schemasOf } from '../../src/registry/schemas.js';
import { type Settings, loadSettings } from '../../src/settings.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { CONTENT_CLUSTER } from '../../src/vespa/package/services.js';
import { type BenchTenant, PROFILE } from './shared.js';

const START_MS = 60_000;
const STOP_MS = 35_000;

/** A process of the benchmark's own. */
export interface OwnProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Runs something in a world of its own, with a folder for its files; afterwards both are gone. */
export async function inWorld(
  name: string,
  portOffset: number,
  run: (world: World, folder: string, note: (line: string) => void) => Promise<void>,
): Promise<void> {
  const note = (line: string) => void process.stderr.write(`${line}\n`);
  const folder = await mkdtemp(path.join(os.tmpdir(), `cvops-bench-${name}-`));
  // The user that PostgreSQL runs as must be able to enter it.
  await chmod(folder, 0o755);
  const world = await World.start(path.join(folder, 'home'), portOffset, note);
  try {
    await run(world, folder, note);
  } finally {
    await world.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** An embedded stack in a home of its own; the data worker is what each row starts. */
export class World {
  private constructor(
    private readonly stack: Stack,
    readonly client: CvopsClient,
    readonly temporal: Client,
    readonly pool: Pool,
    readonly documents: DocumentClient,
    readonly settings: Settings,
  ) {}

  static async start(home: string, portOffset: number, log: (line: string) => void): Promise<World> {
    process.env['CVOPS_VENV'] ??= path.resolve('.cvops', 'venv');
    const stack = await startStack({ home, portOffset, services: ['worker-control'], log, env: {} });
    try {
      const settings = loadSettings({ CVOPS_HOME: home });
      const connection = await Connection.connect({ address: settings.temporalAddress });
      return new World(
        stack,
        await CvopsClient.connect(settings),
        new Client({ connection }),
        openPool(settings.databaseUrl, { name: 'cvops-bench', max: 2 }),
        new DocumentClient(settings.vespaUrl, { connections: 4 }),
        settings,
      );
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  async tenant(name: string): Promise<BenchTenant> {
    const tenant = parseTenantId(name);
    const made = await this.client.createTenant({
      tenant,
      template: 'trial',
      // No limit of the tenant's own: both sides are to be as fast as they can.
      overrides: { max_qps: '10000' },
      profiles: [PROFILE],
      reason: 'bench',
    });
    const incarnation = parseIncarnation((await made.result()).incarnation);
    const [owned] = await schemasOf(this.pool, incarnation);
    return { tenant, incarnation, schema: owned!.schemaName };
  }

  /** Documents of a tenant, counted by visiting them. */
  count({ schema }: BenchTenant): Promise<number> {
    return this.documents.count(schema, CONTENT_CLUSTER);
  }

  /** Where an ingest stands, by its own query. */
  progress(handle: OperationHandle<unknown>): Promise<IngestProgress> {
    return handle.workflow.query<IngestProgress>('progress');
  }

  /** Processes of the stack that an ingest keeps busy. */
  pids(): { control: number; temporal: number; postgres: number; emulator: number } {
    const records = readRecords(this.stack.home);
    const pid = (service: ServiceName) => {
      const record = records[service];
      if (record === undefined) throw new Error(`no process of ${service} is known`);
      return record.identity.pid;
    };
    return {
      control: pid('worker-control'),
      temporal: pid('temporal'),
      postgres: pid('postgres'),
      emulator: pid('vespa'),
    };
  }

  /**
   * Starts a compiled program with the stack's addresses and waits for its ready line.
   *
   * @param program below `dist/`
   */
  async run(
    program: string,
    args: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<OwnProcess> {
    const logFile = path.join(this.stack.home, `${path.basename(program, '.js')}-${args.join('-')}.log`);
    const log = openSync(logFile, 'w');
    const child = fork(built(program), args, {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
      env: {
        ...process.env,
        ...workerVariables(),
        ...addressVariables(this.stack.addresses),
        CVOPS_HOME: this.stack.home,
        LOG_LEVEL: 'info',
        ...env,
      },
    });
    closeSync(log);
    await once(child, 'spawn');
    const identity = identify(child.pid!)!;
    // A benchmark that is interrupted takes them with it.
    const onExit = () => signalGroup(identity.pid, 'SIGKILL');
    process.once('exit', onExit);
    const stop = async () => {
      await endProcess(identity, 'SIGTERM', STOP_MS);
      process.off('exit', onExit);
    };
    const deadline = Date.now() + START_MS;
    while (!readFileSync(logFile, 'utf8').includes(READY_LINE)) {
      if (Date.now() > deadline || child.exitCode !== null) {
        await stop();
        throw new Error(`${program} did not start:\n${readFileSync(logFile, 'utf8').slice(-1000)}`);
      }
      await delay(50);
    }
    return { child, pid: identity.pid, stop };
  }

  async stop(): Promise<void> {
    await this.client.close();
    await this.temporal.connection.close();
    await this.documents.close();
    await this.pool.end();
    await this.stack.stop();
  }
}
