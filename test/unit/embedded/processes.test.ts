import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  commandLine,
  endProcess,
  identify,
  isRunning,
  runCommand,
  startProcess,
  writeWhole,
} from '../../../src/embedded/processes.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'cvops-processes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node = (script: string) => ({ file: process.execPath, args: ['-e', script] });
let logs = 0;

/** A started process that has printed its first line. */
async function started(script: string, env: Record<string, string> = {}) {
  const log = path.join(folder, `${logs++}.log`);
  const child = startProcess({ ...node(script), env }, log);
  await expect.poll(() => readFileSync(log, 'utf8'), { interval: 20 }).toContain('\n');
  return { child, identity: identify(child.pid!)!, text: () => readFileSync(log, 'utf8') };
}

const IDLE = 'setInterval(() => {}, 1000); console.log("up");';

describe('a process’s identity', () => {
  it('stands for that process until it ends', async () => {
    const { child, identity } = await started(IDLE);
    expect(isRunning(identity)).toBe(true);
    expect(commandLine(identity.pid)).toContain('setInterval');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isRunning(identity)).toBe(false);
    expect(identify(identity.pid)).toBeUndefined();
  });

  it('is not that of another process with its pid', () => {
    const self = identify(process.pid)!;
    expect(isRunning(self)).toBe(true);
    expect(isRunning({ ...self, started: `${self.started}1` })).toBe(false);
  });
});

describe('endProcess', () => {
  it('lets a process end by itself', async () => {
    const { identity, text } = await started(
      `${IDLE} process.on('SIGTERM', () => { console.log('bye'); process.exit(0); });`,
    );
    await endProcess(identity, 'SIGTERM', 5000);
    expect(isRunning(identity)).toBe(false);
    // What it wrote may reach us after its end does.
    await vi.waitFor(() => expect(text()).toContain('bye'));
  });

  it('kills one that will not, and its children', async () => {
    const { identity, text } = await started(
      `process.on('SIGTERM', () => {});
       const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
       console.log(child.pid); setInterval(() => {}, 1000);`,
    );
    const grandchild = identify(Number(text()))!;
    const began = Date.now();
    await endProcess(identity, 'SIGTERM', 300);
    expect(Date.now() - began).toBeGreaterThanOrEqual(290);
    expect(isRunning(identity)).toBe(false);
    await expect.poll(() => isRunning(grandchild)).toBe(false);
  });

  it('never touches a stranger that has the pid now', async () => {
    const { child, identity } = await started(IDLE);
    await endProcess({ ...identity, started: '1' }, 'SIGKILL', 100);
    await delay(100);
    expect(isRunning(identity)).toBe(true);
    child.kill('SIGKILL');
  });

  it('leaves the rest of the group alone when told to', async () => {
    const { identity, text } = await started(
      `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
       console.log(child.pid); setInterval(() => {}, 1000);`,
    );
    const grandchild = identify(Number(text()))!;
    await endProcess(identity, 'SIGTERM', 5000, { group: false });
    await delay(100);
    expect(isRunning(grandchild)).toBe(true);
    process.kill(grandchild.pid, 'SIGKILL');
  });
});

describe('startProcess', () => {
  it('gives a process a group, a log and only the variables it may see', async () => {
    process.env['CVOPS_TEST_HIDDEN'] = 'secret';
    process.env['CVOPS_TEST_SEEN'] = 'seen';
    const log = path.join(folder, 'environment.log');
    const child = startProcess(
      {
        ...node('console.log(JSON.stringify(process.env))'),
        without: (name) => name.endsWith('_HIDDEN'),
        env: { CVOPS_TEST_ADDED: 'added' },
      },
      log,
    );
    await once(child, 'exit');
    const seen = JSON.parse(readFileSync(log, 'utf8')) as Record<string, string>;
    expect(seen).toMatchObject({ CVOPS_TEST_SEEN: 'seen', CVOPS_TEST_ADDED: 'added' });
    expect(seen).not.toHaveProperty('CVOPS_TEST_HIDDEN');
  });
});

describe('runCommand', () => {
  it('passes whole lines on, from both streams', async () => {
    const lines: string[] = [];
    await runCommand(node(`process.stdout.write('a\\nb'); setTimeout(() => console.log('c'), 50)`), (line) =>
      lines.push(line),
    );
    expect(lines).toEqual(['a', 'bc']);
  });

  it('fails with the end of what was printed', async () => {
    await expect(
      runCommand(node(`console.error('no such thing'); process.exit(3)`), () => undefined),
    ).rejects.toThrow(/ended with 3:\nno such thing/);
  });

  it('ends a program that hangs when told to, and does not wait for it', async () => {
    await expect(
      runCommand(node(`process.on('SIGTERM', () => {}); ${IDLE}`), () => undefined, AbortSignal.timeout(300)),
    ).rejects.toThrow();
  });

  it('says that a program is not there', async () => {
    await expect(runCommand({ file: 'no-such-program', args: [] }, () => undefined)).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

describe('writeWhole', () => {
  it('leaves the old text when it fails, never a half', () => {
    const file = path.join(folder, 'whole', 'file');
    expect(() => writeWhole(file, 'x')).toThrow();
    const there = path.join(folder, 'file.json');
    writeWhole(there, 'one');
    writeWhole(there, 'two');
    expect(readFileSync(there, 'utf8')).toBe('two');
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });
});

it('takes a zombie for no process', async () => {
  // The shell's child ends while its parent sleeps without waiting for it.
  const shell = spawn('sh', ['-c', 'sh -c "exit 0" & echo $!; exec sleep 5'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [chunk] = (await once(shell.stdout, 'data')) as [Buffer];
  await expect.poll(() => identify(Number(chunk.toString()))).toBeUndefined();
  shell.kill('SIGKILL');
});
