import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { endProcess, identify, isRunning, writeWhole } from './processes.js';
import { readRecords, readSupervisor, supervisorFile } from './records.js';
import { type Stack, type StackOptions, logPath, startStack } from './stack.js';
import { SERVICES } from './services.js';

/** Whether a supervisor of this home runs. */
export function supervised(home: string): boolean {
  const record = readSupervisor(home);
  return record !== undefined && isRunning(record);
}

/** Becomes the supervisor of this home until `until` settles; then ends all services. @throws OpsError `Conflict` when there is one */
export async function supervise(
  options: StackOptions,
  onUp: (stack: Stack) => Promise<void>,
  until: AbortSignal,
): Promise<void> {
  if (supervised(options.home))
    throw new OpsError('Conflict', 'the embedded stack runs already', 'see it with: cvops status');
  mkdirSync(options.home, { recursive: true });
  const self = identify(process.pid)!;
  writeWhole(supervisorFile(options.home), JSON.stringify({ ...self, ready: false }));
  let stack: Stack | undefined;
  try {
    stack = await startStack({ ...options, signal: until });
    writeWhole(supervisorFile(options.home), JSON.stringify({ ...self, ready: true }));
    await onUp(stack);
    if (!until.aborted)
      await new Promise<void>((resolve) => until.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    await stack?.stop();
    rmSync(supervisorFile(options.home), { force: true });
  }
}

/**
 * Starts a supervisor that outlives this process and waits until all is up, passing its words on. One that runs already
 * is left alone.
 *
 * @param command how to run the supervisor: program and arguments
 */
export async function startDetached(
  home: string,
  command: readonly string[],
  log: (line: string) => void,
): Promise<void> {
  if (supervised(home)) {
    if (readSupervisor(home)?.ready) return log('the embedded stack runs already');
    log('another cvops up is starting the stack; waiting for it');
    return waitReady(home, undefined, log);
  }
  mkdirSync(path.join(home, 'logs'), { recursive: true });
  const file = logPath(home, 'supervisor');
  const out = openSync(file, 'a');
  const from = statSync(file).size;
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', out, out],
    detached: true,
    env: process.env,
  });
  closeSync(out);
  child.unref();
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  await waitReady(home, ended, log, from);
}

async function waitReady(
  home: string,
  ended: Promise<number> | undefined,
  log: (line: string) => void,
  from?: number,
): Promise<void> {
  const file = await open(logPath(home, 'supervisor'), 'a+');
  let position = from ?? (await file.stat()).size;
  let code: number | undefined;
  void ended?.then((value) => (code = value));
  try {
    for (;;) {
      const over = code !== undefined;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, position);
      position += bytesRead;
      for (const line of buffer.toString('utf8', 0, bytesRead).split('\n').filter(Boolean)) log(line);
      if (readSupervisor(home)?.ready && supervised(home)) return;
      if (over || (ended === undefined && !supervised(home))) {
        throw new OpsError(
          'Unavailable',
          'the embedded stack did not start',
          `see ${logPath(home, 'supervisor')}`,
        );
      }
      await delay(200);
    }
  } finally {
    await file.close();
  }
}

/** Ends the supervisor, which ends its services; then whatever a killed one left behind. With `wipe`, the state goes too. */
export async function stopStack(
  home: string,
  options: { readonly wipe: boolean; readonly log: (line: string) => void },
): Promise<void> {
  const supervisor = readSupervisor(home);
  if (supervisor && isRunning(supervisor)) await endAlone(supervisor.pid, () => isRunning(supervisor));
  const records = readRecords(home);
  for (const { name, stopSignal } of SERVICES.toReversed()) {
    const left = records[name];
    if (left) await endProcess(left.identity, stopSignal, 15_000);
  }
  for (const name of ['supervisor.json', 'processes.json', 'stack.json'])
    await rm(path.join(home, name), { force: true });
  if (!options.wipe) return;
  // The environment with the programs is no state: installing it again would take minutes and change nothing.
  for (const name of [
    'postgres',
    'phoenix',
    'vespa',
    'temporal.db',
    'temporal.db-shm',
    'temporal.db-wal',
    'logs',
    'backups',
  ]) {
    await rm(path.join(home, name), { recursive: true, force: true });
  }
  options.log(`removed the state in ${home}`);
}

/** SIGTERM to the supervisor alone: its services must end in its order, not all at once. */
async function endAlone(pid: number, running: () => boolean): Promise<void> {
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + 120_000;
  while (running() && Date.now() < deadline) await delay(100);
  if (running()) process.kill(pid, 'SIGKILL');
}
