import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { stackFile } from '../settings.js';
import { logPath, openLog } from './logs.js';
import type { PortName } from './ports.js';
import { endProcess } from './processes.js';
import { recordsFile, supervisorFile, supervisorOf } from './records.js';
import { type Stack, type StackOptions, endLeftovers, startStack } from './stack.js';
import { missingServices } from './status.js';

/** Asks a supervisor to start what is missing now. */
export const NUDGE = 'SIGUSR2';
/** The services' own bounds, one after the other, and some more. */
const STOP_MS = 90_000;
/** A service that ended is started again within this, unless it cannot. */
const REPAIR_MS = 180_000;

/** Whether a process runs and watches the stack of this home. */
export function supervised(home: string): boolean {
  return supervisorOf(home) !== undefined;
}

/** The command line of a supervisor: this program again, as `cvops up`. */
export function supervisorCommand(choice: {
  readonly portOffset: number;
  readonly ports?: Readonly<Partial<Record<PortName, number>>>;
}): string[] {
  const named = Object.entries(choice.ports ?? {}).flatMap(([name, port]) => ['--port', `${name}=${port}`]);
  const offset = ['--port-offset', String(choice.portOffset)];
  return [process.execPath, process.argv[1]!, 'up', '--supervisor', ...offset, ...named];
}

/** Runs the stack until `until` aborts, then ends it. @throws OpsError as `startStack` */
export async function supervise(
  options: StackOptions,
  onUp: (stack: Stack) => Promise<void>,
  until: AbortSignal,
): Promise<void> {
  const stack = await startStack({ ...options, signal: until });
  const nudge = () => stack.nudge();
  process.on(NUDGE, nudge);
  try {
    await onUp(stack);
    if (!until.aborted)
      await new Promise<void>((resolve) => until.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    await stack.stop();
    process.off(NUDGE, nudge);
  }
}

/**
 * Starts a supervisor that outlives this process and waits until all is up, passing its words on. One that runs already
 * is kept; what is missing of its services is started.
 *
 * @param command how to run the supervisor, see `supervisorCommand`
 * @throws OpsError as the supervisor's `startStack` did
 */
export async function startDetached(
  home: string,
  command: readonly string[],
  log: (line: string) => void,
): Promise<void> {
  const running = supervisorOf(home);
  if (running?.ready) return repair(home, running.pid, log);
  if (running) {
    log('another cvops up is starting the stack; waiting for it');
    return waitReady(home, undefined, log);
  }
  const from = openLog(home, 'supervisor');
  const out = openSync(logPath(home, 'supervisor'), 'a');
  const [program, ...args] = command;
  const child = spawn(program!, args, { stdio: ['ignore', out, out], detached: true, env: process.env });
  closeSync(out);
  const ended = new Promise<void>((resolve) =>
    child.once('exit', () => resolve()).once('error', () => resolve()),
  );
  child.unref();
  try {
    await waitReady(home, ended, log, from);
  } catch (error) {
    // Another command began at the same moment and was the first: what it starts is what was asked for.
    const other = error instanceof OpsError && error.type === 'Conflict' && supervisorOf(home);
    if (!other) throw error;
    await waitReady(home, undefined, log);
  }
}

async function repair(home: string, pid: number, log: (line: string) => void): Promise<void> {
  let names = await missingServices(home);
  if (names.length === 0) return log('the embedded stack runs already');
  log(`the embedded stack runs already; starting ${names.join(', ')}`);
  const deadline = Date.now() + REPAIR_MS;
  while (names.length > 0) {
    if (supervisorOf(home)?.pid !== pid) throw new OpsError('Unavailable', 'the stack was stopped meanwhile');
    if (Date.now() > deadline)
      throw new OpsError(
        'Unavailable',
        `${names.join(', ')} did not come up`,
        `see ${path.join(home, 'logs')}`,
      );
    process.kill(pid, NUDGE);
    await delay(1000);
    names = await missingServices(home);
  }
}

async function waitReady(
  home: string,
  ended: Promise<void> | undefined,
  log: (line: string) => void,
  from?: number,
): Promise<void> {
  mkdirSync(path.dirname(logPath(home, 'supervisor')), { recursive: true });
  const file = await open(logPath(home, 'supervisor'), 'a+');
  let position = from ?? (await file.stat()).size;
  let rest = '';
  let over = false;
  void ended?.then(() => (over = true));
  const said: string[] = [];
  try {
    for (;;) {
      const last = over;
      const ready = supervisorOf(home)?.ready === true;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, position);
      position += bytesRead;
      const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (said.push(line) && !isFailure(line)) log(line);
      if (ready) return;
      if (last || (ended === undefined && supervisorOf(home) === undefined)) throw startFailure(home, said);
      await delay(200);
    }
  } finally {
    await file.close();
  }
}

/** How a supervisor says why it could not start: its last line, so that the waiting command fails with the same words. */
export function failureLine(error: unknown): string {
  const known = error instanceof OpsError ? error : undefined;
  const { message } = error as Error;
  return JSON.stringify({ failed: { type: known?.type ?? 'Unavailable', message, hint: known?.hint } });
}

function isFailure(line: string): boolean {
  return line.startsWith('{"failed":');
}

function startFailure(home: string, said: readonly string[]): OpsError {
  const line = said.findLast(isFailure);
  if (line === undefined)
    return new OpsError(
      'Unavailable',
      `the embedded stack did not start:\n${said.slice(-5).join('\n')}`,
      `see ${logPath(home, 'supervisor')}`,
    );
  const { failed } = JSON.parse(line) as { failed: { type: 'Unavailable'; message: string; hint?: string } };
  return new OpsError(failed.type, failed.message, failed.hint);
}

/** What `down --wipe` removes. The installed programs stay: to have them again takes minutes and changes nothing. */
export const STATE = [
  'postgres',
  'phoenix',
  'vespa',
  'temporal.db',
  'temporal.db-shm',
  'temporal.db-wal',
  'logs',
  'backups',
] as const;

/** Ends the supervisor, which ends its services; then whatever a killed one left behind. With `wipe`, the state goes too. */
export async function stopStack(
  home: string,
  options: { readonly wipe: boolean; readonly log: (line: string) => void },
): Promise<void> {
  const supervisor = supervisorOf(home);
  // To it alone: its services must end in its order, not all at once.
  if (supervisor) await endProcess(supervisor, 'SIGTERM', STOP_MS, { group: false });
  await endLeftovers(home, options.log);
  for (const file of [supervisorFile(home), recordsFile(home), stackFile(home)])
    await rm(file, { force: true });
  if (!options.wipe) return;
  for (const name of STATE) await rm(path.join(home, name), { recursive: true, force: true });
  options.log(`removed the state in ${home}`);
}
