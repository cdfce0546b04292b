import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { listener, listensOn } from './listeners.js';
import { lastLines, logPath, openLog, readLog } from './logs.js';
import { portTaken } from './ports.js';
import {
  type ProcessIdentity,
  endProcess,
  identify,
  isRunning,
  signalGroup,
  startProcess,
} from './processes.js';
import type { ServiceDefinition, StackContext } from './services/index.js';

/** How long a service may take to answer; Phoenix migrates its database at the first start. */
const START_MS = 180_000;
/** An external server is expected to be there. */
const EXTERNAL_MS = 10_000;
const POLL_MS = 150;
/** A first start that fails is tried again: a server killed just now may hold its memory or port for a moment. */
const FIRST_ATTEMPTS = 3;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** Whoever ran this long is not in a crash loop. */
const STEADY_MS = 60_000;

export type RunnerState = 'waiting' | 'starting' | 'running' | 'restarting' | 'stopped' | 'external';

export interface StartedProcess {
  readonly identity: ProcessIdentity;
  /** Where in its log this start begins. */
  readonly logStart: number;
}

/** The life of one service: started, watched, started again with growing pauses when it ends by itself, ended. */
export class ServiceRunner {
  state: RunnerState = 'waiting';
  private child: ChildProcess | undefined;
  private process: StartedProcess | undefined;
  private stopping = false;
  private pause = FIRST_PAUSE_MS;
  private wake = new AbortController();

  constructor(
    readonly service: ServiceDefinition,
    private readonly context: StackContext,
    private readonly onProcess: (process: StartedProcess | undefined) => void,
  ) {}

  get pid(): number | undefined {
    return this.alive ? this.process?.identity.pid : undefined;
  }

  private get alive(): boolean {
    return this.process !== undefined && isRunning(this.process.identity);
  }

  /** @throws OpsError `Unavailable` with the end of its log when it does not come up */
  async start(): Promise<void> {
    const { name } = this.service;
    const began = Date.now();
    if (this.context.external.has(name)) {
      this.state = 'external';
      await this.waitHealthy(Date.now() + EXTERNAL_MS);
      await this.service.afterStart?.(this.context);
      this.context.log(`${name}: external, answers`);
      return;
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.launch();
        break;
      } catch (error) {
        if (attempt === FIRST_ATTEMPTS || this.alive || this.over) throw error;
        await this.rest();
      }
    }
    this.context.log(`${name} is up (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    this.watch();
  }

  /** Ends the process and keeps it ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake.abort();
    await this.end();
    if (this.state !== 'external') this.state = 'stopped';
  }

  /** Ends it, starts it again and waits until it answers. */
  async restart(): Promise<void> {
    if (this.context.external.has(this.service.name))
      throw new OpsError('WrongState', `${this.service.name} is external: it is not ours to restart`);
    this.pause = FIRST_PAUSE_MS;
    this.state = 'restarting';
    // Its watcher notices the end and starts it.
    await this.end();
    this.nudge();
    await this.up();
  }

  /** @throws OpsError `WrongState` when it does not run */
  kill(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) throw new OpsError('WrongState', `${this.service.name} does not run`);
    signalGroup(pid, signal);
  }

  /** Cuts a pause before a new start short. */
  nudge(): void {
    this.wake.abort();
  }

  /** Waits until it answers, now or after the start that is due. @throws OpsError `Unavailable` after 3 minutes */
  async up(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!(this.state === 'running' && this.alive) && this.state !== 'external') {
      if (this.stopping) throw new OpsError('Unavailable', `${this.service.name} was stopped`);
      if (Date.now() > deadline) throw this.failure('did not come up');
      await delay(POLL_MS);
    }
  }

  /** For the moment this process exits without having stopped its services. */
  endNow(): void {
    if (this.process && this.alive) signalGroup(this.process.identity.pid, this.service.stopSignal);
  }

  private get over(): boolean {
    return this.stopping || this.context.signal.aborted;
  }

  private async launch(): Promise<void> {
    const { name } = this.service;
    const command = await this.service.command(this.context);
    if (this.over) throw new OpsError('Unavailable', 'the stack is being stopped');
    if (this.state === 'waiting') this.state = 'starting';
    const logStart = openLog(this.context.home, name);
    const child = startProcess(command, logPath(this.context.home, name));
    await once(child, 'spawn').catch((error: Error) => {
      throw new OpsError('Unavailable', `cannot start ${name}: ${error.message}`);
    });
    const pid = child.pid!;
    this.child = child;
    this.process = { identity: identify(pid) ?? { pid, started: 'ended at once' }, logStart };
    this.onProcess(this.process);
    await this.waitHealthy(Date.now() + START_MS);
    for (const port of this.service.ports) {
      if (listensOn(pid, this.context.ports[port]) === false) {
        await this.end();
        throw portTaken(port, this.context.ports[port]);
      }
    }
    await this.service.afterStart?.(this.context);
    this.state = 'running';
  }

  private async waitHealthy(deadline: number): Promise<void> {
    let reason = '';
    for (;;) {
      const ended = this.child !== undefined && !this.alive;
      if (ended) throw this.endedAtStart();
      if (this.over) throw new OpsError('Unavailable', 'the stack is being stopped');
      const log = readLog(this.context.home, this.service.name, this.process?.logStart ?? 0);
      const healthy = await this.service.healthy(this.context, log).catch((error: Error) => {
        reason = error.message;
        return false;
      });
      if (healthy) return;
      if (Date.now() > deadline) throw this.failure(`does not answer${reason && `: ${reason}`}`);
      await delay(POLL_MS);
    }
  }

  /** Starts it again whenever it ends, until it is stopped. */
  private watch(): void {
    const child = this.child!;
    const began = Date.now();
    const again = async () => {
      if (this.over) return;
      if (Date.now() - began > STEADY_MS) this.pause = FIRST_PAUSE_MS;
      if (this.state !== 'restarting') {
        const { name } = this.service;
        this.context.log(`${name} ended (${howItEnded(child)}); starting it again in ${this.pause / 1000} s`);
      }
      this.state = 'restarting';
      while (!this.over) {
        await this.rest();
        if (this.over) return;
        try {
          await this.launch();
          this.context.log(`${this.service.name} is up again`);
          return this.watch();
        } catch (error) {
          if (!this.over) this.context.log((error as Error).message);
          await this.end();
        }
      }
    };
    if (child.exitCode !== null || child.signalCode !== null) void again();
    else child.once('exit', () => void again());
  }

  /** The pause before a new start, which grows with each. */
  private async rest(): Promise<void> {
    this.wake = new AbortController();
    const pause = this.pause;
    this.pause = Math.min(pause * 2, MAX_PAUSE_MS);
    const cut = AbortSignal.any([this.wake.signal, this.context.signal]);
    await delay(pause, undefined, { signal: cut }).catch(() => undefined);
  }

  private async end(): Promise<void> {
    const ended = this.process;
    if (ended === undefined) return;
    const { stopSignal, stopMs } = this.service;
    await endProcess(ended.identity, stopSignal, stopMs);
    if (this.process === ended && this.stopping) this.onProcess(undefined);
  }

  private endedAtStart(): OpsError {
    // Its port was free when we looked, and is not any more: say that instead of what it prints.
    const lost = this.service.ports.find((port) => listener(this.context.ports[port]) !== undefined);
    if (lost !== undefined) return portTaken(lost, this.context.ports[lost]);
    return this.failure(`ended at its start (${howItEnded(this.child!)})`);
  }

  private failure(what: string): OpsError {
    const { name } = this.service;
    const file = logPath(this.context.home, name);
    if (this.context.external.has(name))
      return new OpsError(
        'Unavailable',
        `${name} is external and ${what}`,
        'start it, or unset its variable',
      );
    const log = lastLines(readLog(this.context.home, name, this.process?.logStart ?? 0));
    return new OpsError('Unavailable', `${name} ${what}${log && `:\n${log}`}`, `see ${file}`);
  }
}

function howItEnded({ signalCode, exitCode }: ChildProcess): string {
  return signalCode ?? (exitCode === null ? 'unknown' : `exit ${exitCode}`);
}
