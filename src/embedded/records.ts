import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OpsError } from '../domain/errors.js';
import { type ProcessIdentity, identify, isRunning, writeWhole } from './processes.js';
import type { StartedProcess } from './runner.js';

/** Which processes a supervisor started, so that another command, or the next supervisor, finds exactly those. */
export type ProcessRecords = Readonly<Record<string, StartedProcess>>;

/** The process that starts and watches the services of a home: `cvops up`, or a program that called `startStack`. */
export interface SupervisorRecord extends ProcessIdentity {
  /** All services were up. */
  readonly ready: boolean;
}

/** What two commands that claim a home at once need to see each other's record. */
const CLAIM_MS = 100;

export function recordsFile(home: string): string {
  return path.join(home, 'processes.json');
}

export function supervisorFile(home: string): string {
  return path.join(home, 'supervisor.json');
}

export function readRecords(home: string): ProcessRecords {
  return readJson<ProcessRecords>(recordsFile(home)) ?? {};
}

/** The supervisor that runs now. */
export function supervisorOf(home: string): SupervisorRecord | undefined {
  const record = readJson<SupervisorRecord>(supervisorFile(home));
  return record !== undefined && isRunning(record) ? record : undefined;
}

/** Makes this process the home's supervisor. @throws OpsError `Conflict` when there is one */
export async function claimHome(home: string): Promise<void> {
  const self = identify(process.pid)!;
  const refuse = () => {
    throw new OpsError('Conflict', `the embedded stack of ${home} runs already`, 'see it with: cvops status');
  };
  if (supervisorOf(home)) refuse();
  writeWhole(supervisorFile(home), JSON.stringify({ ...self, ready: false }));
  // Of two that saw none at the same moment, the later one's record stands.
  await delay(CLAIM_MS);
  if (supervisorOf(home)?.pid !== self.pid) refuse();
}

export function markReady(home: string): void {
  writeWhole(supervisorFile(home), JSON.stringify({ ...identify(process.pid)!, ready: true }));
}

export function releaseHome(home: string): void {
  if (supervisorOf(home)?.pid === process.pid) rmSync(supervisorFile(home), { force: true });
}

function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
