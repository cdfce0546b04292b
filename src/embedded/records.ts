import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ProcessIdentity } from './processes.js';

/** Which processes a supervisor started, so that another command, or the next supervisor, finds exactly those. */
export type ProcessRecords = Readonly<
  Record<string, { readonly identity: ProcessIdentity; readonly logStart: number }>
>;

export function recordsFile(home: string): string {
  return path.join(home, 'processes.json');
}

export function readRecords(home: string): ProcessRecords {
  return readJson<ProcessRecords>(recordsFile(home)) ?? {};
}

/** The supervisor: the one process that starts and watches the services of a home. */
export interface SupervisorRecord extends ProcessIdentity {
  readonly ready: boolean;
}

export function supervisorFile(home: string): string {
  return path.join(home, 'supervisor.json');
}

export function readSupervisor(home: string): SupervisorRecord | undefined {
  return readJson<SupervisorRecord>(supervisorFile(home));
}

function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
