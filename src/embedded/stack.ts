import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readSync, closeSync, fstatSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { type StackAddresses, stackFile } from '../settings.js';
import { type Ports, choosePorts, requireFreePort } from './ports.js';
import { preparePostgres } from './postgres.js';
import { endProcess, identify, isRunning, startProcess, writeWhole } from './processes.js';
import { type ProcessRecords, readRecords, recordsFile } from './records.js';
import { SERVICES, type ServiceDefinition, type ServiceName, type StackContext } from './services.js';

export interface StackOptions {
  readonly home: string;
  readonly portOffset?: number;
  /** Progress in words, a line each. */
  readonly log?: (line: string) => void;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** How long a service may take to answer; Phoenix migrates its database at the first start. */
const START_MS = 180_000;
const STOP_GRACE_MS = 15_000;
const MAX_RESTART_PAUSE_MS = 30_000;

/** Services that an address in the environment replaces: used and health-checked, not started. */
const EXTERNAL: Readonly<
  Record<'postgres' | 'temporal' | 'phoenix' | 'vespa', { variables: readonly string[] }>
> = {
  postgres: { variables: ['DATABASE_URL'] },
  temporal: { variables: ['TEMPORAL_ADDRESS'] },
  phoenix: { variables: ['PHOENIX_URL'] },
  vespa: { variables: ['VESPA_URL', 'VESPA_CONFIG_URL'] },
};

/**
 * Starts every service that is not there yet, each when what it needs is up, and keeps them running: one that ends by
 * itself is started again. Leftovers of a supervisor that was killed are ended first, by pid and start time.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const stack = await Stack.prepare(options);
  try {
    await stack.start();
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

export class Stack {
  private readonly children = new Map<ServiceName, ChildProcess>();
  private readonly records: Record<string, ProcessRecords[string]> = {};
  private stopping = false;

  private constructor(
    private readonly context: StackContext,
    private readonly external: ReadonlySet<string>,
    private readonly options: StackOptions,
  ) {}

  get addresses(): StackAddresses {
    return this.context.addresses;
  }

  static async prepare(options: StackOptions): Promise<Stack> {
    const env = options.env ?? process.env;
    const home = path.resolve(options.home);
    await mkdir(path.join(home, 'logs'), { recursive: true });
    const ports = choosePorts(options.portOffset ?? 0, env);
    const external = new Set(
      Object.entries(EXTERNAL)
        .filter(([, { variables }]) => variables.every((variable) => env[variable]))
        .map(([name]) => name),
    );
    const addresses = await chooseAddresses(home, ports, env, external);
    const log = options.log ?? (() => undefined);
    return new Stack({ home, ports, addresses, log }, external, options);
  }

  async start(): Promise<void> {
    const { home } = this.context;
    await endLeftovers(home, this.context.log);
    const own = SERVICES.filter(({ name }) => !this.external.has(name));
    for (const { ports } of own)
      for (const name of ports) await requireFreePort(name, this.context.ports[name]);
    writeWhole(stackFile(home), `${JSON.stringify(this.addresses, null, 2)}\n`);

    const up = new Map<ServiceName, Promise<void>>();
    for (const service of SERVICES)
      up.set(
        service.name,
        this.bringUp(
          service,
          service.after.map((name) => up.get(name)!),
        ),
      );
    const results = await Promise.allSettled(up.values());
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason as Error;
  }

  /** Ends all services in reverse order. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const { name, stopSignal } of SERVICES.toReversed()) {
      const child = this.children.get(name);
      const identity =
        child?.pid === undefined ? undefined : (this.records[name]?.identity ?? identify(child.pid));
      if (identity && isRunning(identity)) {
        this.context.log(`stopping ${name}`);
        await endProcess(identity, stopSignal, STOP_GRACE_MS);
      }
    }
    rmSync(recordsFile(this.context.home), { force: true });
    rmSync(stackFile(this.context.home), { force: true });
  }

  /** For tests of faults: the supervisor starts the service again by itself. */
  kill(name: ServiceName, signal: NodeJS.Signals): void {
    const pid = this.children.get(name)?.pid;
    if (pid === undefined) throw new Error(`${name} does not run`);
    process.kill(-pid, signal);
  }

  /** Waits until a service answers (again). */
  async ready(name: ServiceName): Promise<void> {
    const service = SERVICES.find((s) => s.name === name)!;
    await this.waitHealthy(service, this.records[name]?.logStart ?? 0);
  }

  private async bringUp(service: ServiceDefinition, after: readonly Promise<void>[]): Promise<void> {
    await Promise.all(after);
    if (this.external.has(service.name)) {
      this.context.log(`${service.name}: external`);
    } else {
      await this.launch(service);
    }
    const started = Date.now();
    await this.waitHealthy(service, this.records[service.name]?.logStart ?? 0);
    await service.afterStart?.(this.context);
    this.context.log(`${service.name} is up (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  }

  private async launch(service: ServiceDefinition, pause = 1000): Promise<void> {
    const command = await service.command(this.context);
    if (this.stopping) return;
    const logFile = logPath(this.context.home, service.name);
    const logStart = sizeOf(logFile);
    const child = startProcess(command, logFile);
    const began = Date.now();
    child.once('error', (error) => this.context.log(`${service.name}: ${error.message}`));
    await once(child, 'spawn').catch((error: Error) => {
      throw new OpsError('Unavailable', `cannot start ${service.name}: ${error.message}`);
    });
    this.children.set(service.name, child);
    this.records[service.name] = {
      identity: identify(child.pid!) ?? { pid: child.pid!, started: 'ended' },
      logStart,
    };
    writeWhole(recordsFile(this.context.home), JSON.stringify(this.records));
    child.once('exit', (code, signal) => {
      if (this.stopping) return;
      const next = Date.now() - began > 60_000 ? 1000 : Math.min(pause * 2, MAX_RESTART_PAUSE_MS);
      this.context.log(`${service.name} ended (${signal ?? code}); starting it again in ${pause / 1000} s`);
      setTimeout(() => {
        if (!this.stopping)
          this.launch(service, next).catch((error: Error) => this.context.log(error.message));
      }, pause);
    });
  }

  private async waitHealthy(service: ServiceDefinition, logStart: number): Promise<void> {
    const logFile = logPath(this.context.home, service.name);
    const deadline = Date.now() + START_MS;
    for (;;) {
      this.options.signal?.throwIfAborted();
      if (this.stopping) throw new OpsError('Unavailable', 'the stack is being stopped');
      if (await service.healthy(this.context, textFrom(logFile, logStart)).catch(() => false)) return;
      const child = this.children.get(service.name);
      if (Date.now() > deadline || (child !== undefined && child.exitCode !== null && child.exitCode !== 0)) {
        const last = textFrom(logFile, logStart).trimEnd().split('\n').slice(-5).join('\n');
        throw new OpsError('Unavailable', `${service.name} did not come up:\n${last}`, `see ${logFile}`);
      }
      await delay(150);
    }
  }
}

export function logPath(home: string, name: string): string {
  return path.join(home, 'logs', `${name}.log`);
}

async function chooseAddresses(
  home: string,
  ports: Ports,
  env: NodeJS.ProcessEnv,
  external: ReadonlySet<string>,
): Promise<StackAddresses> {
  const local = (port: number) => `http://127.0.0.1:${port}`;
  mkdirSync(home, { recursive: true });
  const temporalOutside = external.has('temporal');
  return {
    databaseUrl: external.has('postgres')
      ? env['DATABASE_URL']!
      : (await preparePostgres(path.join(home, 'postgres'), ports.postgres)).url,
    temporalAddress: temporalOutside ? env['TEMPORAL_ADDRESS']! : `127.0.0.1:${ports.temporal}`,
    temporalUiUrl: (temporalOutside ? env['TEMPORAL_UI_URL'] : undefined) ?? local(ports['temporal-ui']),
    phoenixUrl: external.has('phoenix') ? env['PHOENIX_URL']! : local(ports.phoenix),
    vespaUrl: external.has('vespa') ? env['VESPA_URL']! : local(ports.vespa),
    vespaConfigUrl: external.has('vespa') ? env['VESPA_CONFIG_URL']! : local(ports['vespa-config']),
  };
}

async function endLeftovers(home: string, log: (line: string) => void): Promise<void> {
  const records = readRecords(home);
  for (const { name, stopSignal } of SERVICES.toReversed()) {
    const left = records[name];
    if (left && isRunning(left.identity)) {
      log(`ending ${name}, left behind by a stack that was killed`);
      await endProcess(left.identity, stopSignal, STOP_GRACE_MS);
    }
  }
}

function sizeOf(file: string): number {
  const fd = openSync(file, 'a');
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

function textFrom(file: string, start: number): string {
  const fd = openSync(file, 'a+');
  try {
    const buffer = Buffer.alloc(Math.min(1 << 20, Math.max(0, fstatSync(fd).size - start)));
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, start));
  } finally {
    closeSync(fd);
  }
}
