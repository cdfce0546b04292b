import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identify, writeWhole } from '../../../src/embedded/processes.js';
import {
  claimHome,
  markReady,
  readRecords,
  recordsFile,
  releaseHome,
  supervisorFile,
  supervisorOf,
} from '../../../src/embedded/records.js';

let home: string;
beforeEach(() => (home = mkdtempSync(path.join(os.tmpdir(), 'cvops-records-'))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('a home', () => {
  it('has one supervisor: a second claim is a conflict until it is released', async () => {
    await claimHome(home);
    expect(supervisorOf(home)).toMatchObject({ pid: process.pid, ready: false });
    await expect(claimHome(home)).rejects.toMatchObject({ type: 'Conflict', exitCode: 6 });
    markReady(home);
    expect(supervisorOf(home)?.ready).toBe(true);
    releaseHome(home);
    expect(existsSync(supervisorFile(home))).toBe(false);
    await claimHome(home);
  });

  it('is free again when its supervisor was killed, also when the pid is somebody else’s now', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    const identity = identify(child.pid!)!;
    writeWhole(supervisorFile(home), JSON.stringify({ ...identity, ready: true }));
    await expect(claimHome(home)).rejects.toThrow(/runs already/);

    writeWhole(supervisorFile(home), JSON.stringify({ ...identity, started: '1', ready: true }));
    await claimHome(home);
    releaseHome(home);
    child.kill('SIGKILL');
    await once(child, 'exit');
    writeWhole(supervisorFile(home), JSON.stringify({ ...identity, ready: true }));
    await claimHome(home);
  });

  it('is not released by whoever does not hold it', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    writeWhole(supervisorFile(home), JSON.stringify({ ...identify(child.pid!)!, ready: true }));
    releaseHome(home);
    expect(supervisorOf(home)?.pid).toBe(child.pid);
    child.kill('SIGKILL');
  });

  it('without records, or with a torn file, has no processes', () => {
    expect(readRecords(home)).toEqual({});
    writeWhole(recordsFile(home), '{"vespa": {"ident');
    expect(readRecords(home)).toEqual({});
  });
});
