import { rmSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ensureAccessFiles } from '../access/keyFiles.js';
import { ensureKeyPair } from '../certificates/keyPair.js';
import { OpsError } from '../domain/errors.js';
import { type StackAddresses, stackFile } from '../settings.js';
import { chooseAddresses, chooseDatabase, externalServices } from './addresses.js';
import { type PortName, type Ports, choosePorts, requireFreePort } from './ports.js';
import { endProcess, isRunning, writeWhole } from './processes.js';
import { claimHome, markReady, readRecords, recordsFile, releaseHome } from './records.js';
import { type RunnerState, ServiceRunner, type StartedProcess } from './runner.js';
import { SERVICES, type ServiceName, type StackContext, servicesFor } from './services/index.js';

export interface StackOptions {
  /** Folder of the stack's state; made when missing. */
  readonly home: string;
  /** Added to every default port. */
  readonly portOffset?: number;
  readonly ports?: Readonly<Partial<Record<PortName, number>>>;
  /** Only these and what they need; all by default. */
  readonly services?: readonly ServiceName[];
  /** Progress in words, a line each. */
  readonly log?: (line: string) => void;
  /** Where external addresses and ports are looked up; `process.env` by default. */
  readonly env?: NodeJS.ProcessEnv;
  /** Stops the start; services that came up are ended again. */
  readonly signal?: AbortSignal;
}

/** A service left behind has nobody to finish its work for. */
const LEFTOVER_MS = 5000;
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Starts the embedded stack in this process: every service when what it needs is up, and again whenever one ends by
 * itself. One process a home does so; services that a killed one left behind are ended first, by pid and start time.
 *
 * @throws OpsError `Conflict` when the home's stack runs already, `InvalidInput`, `Unavailable` naming what is in the way
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const home = path.resolve(options.home);
  // Entered by the user that PostgreSQL runs as.
  if (await mkdir(home, { recursive: true })) await chmod(home, 0o755);
  const env = options.env ?? process.env;
  const named = options.ports === undefined ? {} : { named: options.ports };
  const ports = choosePorts({ offset: options.portOffset ?? 0, ...named }, env);
  const external = externalServices(env);
  await claimHome(home);
  try {
    // Signs the erasure certificates of this stack; outside it the key is the operator's.
    await ensureKeyPair(path.join(home, 'keys'));
    await ensureAccessFiles(path.join(home, 'keys'), env['CVOPS_ACCESS_AUDIENCE'] || 'cvops');
    const cancel = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, cancel.signal]) : cancel.signal;
    const database = await chooseDatabase(home, ports, env);
    const context: StackContext = {
      home,
      ports,
      external,
      signal,
      addresses: chooseAddresses(ports, database, env),
      database,
      temporalNamespace: env['TEMPORAL_NAMESPACE'] || 'default',
      log: options.log ?? (() => undefined),
    };
    const stack = new Stack(context, cancel, options);
    await stack.start();
    return stack;
  } catch (error) {
    releaseHome(home);
    throw error;
  }
}

/** A running embedded stack, made by `startStack`. */
export class Stack {
  private readonly runners: ReadonlyMap<ServiceName, ServiceRunner>;
  private readonly records: Record<string, StartedProcess> = {};
  private stopped: Promise<void> | undefined;

  constructor(
    private readonly context: StackContext,
    private readonly cancel: AbortController,
    private readonly options: StackOptions,
  ) {
    this.runners = new Map(
      servicesFor(options.services).map((service) => [
        service.name,
        new ServiceRunner(service, context, (process) => this.record(service.name, process)),
      ]),
    );
  }

  get addresses(): StackAddresses {
    return this.context.addresses;
  }

  get ports(): Ports {
    return this.context.ports;
  }

  get home(): string {
    return this.context.home;
  }

  /** What each service is doing, in the order of their start. */
  get states(): ReadonlyMap<ServiceName, RunnerState> {
    return new Map([...this.runners].map(([name, { state }]) => [name, state]));
  }

  /** @internal */
  async start(): Promise<void> {
    const { home } = this.context;
    process.once('exit', this.endAll);
    for (const signal of ENDING_SIGNALS) process.on(signal, this.onSignal);
    try {
      await endLeftovers(home, this.context.log);
      for (const { service } of this.runners.values()) {
        if (this.context.external.has(service.name)) continue;
        for (const name of service.ports) await requireFreePort(name, this.context.ports[name]);
      }
      writeWhole(stackFile(home), `${JSON.stringify(this.addresses, null, 2)}\n`);
      await this.bringUp();
      markReady(home);
    } catch (error) {
      await this.stop();
      // What an interrupted install or wait said is not why it ended.
      throw this.options.signal?.aborted ? stoppedEarly() : error;
    }
  }

  /** Ends all services, each before what it needs; those that do not end are killed. Safe to call twice. */
  stop(): Promise<void> {
    this.stopped ??= this.stopAll();
    return this.stopped;
  }

  /** Ends a service, starts it again and waits until it answers. */
  async restart(name: ServiceName): Promise<void> {
    await this.runner(name).restart();
  }

  /** Signals a service's process group. For tests of faults: what ends is started again by itself. */
  kill(name: ServiceName, signal: NodeJS.Signals): void {
    this.runner(name).kill(signal);
  }

  /** Waits until a service answers (again). */
  async ready(name: ServiceName): Promise<void> {
    await this.runner(name).up();
  }

  pid(name: ServiceName): number | undefined {
    return this.runner(name).pid;
  }

  /** Starts what waits for its next try now. */
  nudge(): void {
    for (const runner of this.runners.values()) runner.nudge();
  }

  private async bringUp(): Promise<void> {
    const up = new Map<ServiceName, Promise<void>>();
    for (const [name, runner] of this.runners) {
      const { prepare, after } = runner.service;
      const needed = after.map((other) => up.get(other));
      const prepared = this.context.external.has(name) ? undefined : prepare?.(this.context);
      up.set(
        name,
        Promise.all([prepared, ...needed]).then(() => runner.start()),
      );
    }
    try {
      await Promise.all(up.values());
    } catch (error) {
      // The others are on their way: the first failure ends an install, a wait, a start.
      this.cancel.abort();
      await Promise.allSettled(up.values());
      throw error;
    }
  }

  private async stopAll(): Promise<void> {
    this.cancel.abort();
    const ended = new Map<ServiceName, Promise<void>>();
    for (const [name, runner] of [...this.runners].toReversed()) {
      const users = [...this.runners.values()].filter(({ service }) => service.after.includes(name));
      const before = users.map(({ service }) => ended.get(service.name)!);
      ended.set(
        name,
        Promise.all(before).then(async () => {
          if (runner.pid !== undefined) this.context.log(`stopping ${name}`);
          await runner.stop();
        }),
      );
    }
    await Promise.all(ended.values());
    process.off('exit', this.endAll);
    for (const signal of ENDING_SIGNALS) process.off(signal, this.onSignal);
    rmSync(recordsFile(this.home), { force: true });
    rmSync(stackFile(this.home), { force: true });
    releaseHome(this.home);
  }

  private runner(name: ServiceName): ServiceRunner {
    const runner = this.runners.get(name);
    if (runner === undefined) throw new OpsError('NotFound', `${name} is not part of this stack`);
    return runner;
  }

  private record(name: ServiceName, process: StartedProcess | undefined): void {
    if (process === undefined) delete this.records[name];
    else this.records[name] = process;
    writeWhole(recordsFile(this.home), JSON.stringify(this.records));
  }

  /** Where the program itself handles no such signal, the system would end it and leave the services behind. */
  private readonly onSignal = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) > 1) return;
    this.context.log(`${signal}: stopping …`);
    void this.stop().finally(() => process.exit(128 + os.constants.signals[signal]));
  };

  /** A process that exits without `stop` leaves no services behind; after SIGKILL the next start ends them. */
  private readonly endAll = (): void => {
    for (const runner of [...this.runners.values()].toReversed()) runner.endNow();
  };
}

/** Ends what a supervisor that was killed left running. */
export async function endLeftovers(home: string, log: (line: string) => void): Promise<void> {
  const records = readRecords(home);
  for (const { name, stopSignal } of SERVICES.toReversed()) {
    const left = records[name];
    if (left === undefined || !isRunning(left.identity)) continue;
    log(`ending ${name}, left behind by a stack that was killed`);
    await endProcess(left.identity, stopSignal, LEFTOVER_MS);
  }
  rmSync(recordsFile(home), { force: true });
}

function stoppedEarly(): OpsError {
  return new OpsError('Unavailable', 'stopped before all was up');
}
