import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { choosePorts } from '../../../src/embedded/ports.js';
import { isRunning } from '../../../src/embedded/processes.js';
import { ServiceRunner, type StartedProcess } from '../../../src/embedded/runner.js';
import type { ServiceDefinition, StackContext } from '../../../src/embedded/services/index.js';

let home: string;
let said: string[];
let runner: ServiceRunner | undefined;
let records: (StartedProcess | undefined)[];
const cancel = new AbortController();

beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'cvops-runner-'));
  said = [];
  records = [];
});
afterEach(async () => {
  await runner?.stop();
  runner = undefined;
  rmSync(home, { recursive: true, force: true });
});

/** A service that is a Node script; up when it has printed `ready`. */
function run(script: string, more: Partial<ServiceDefinition> = {}, external: readonly string[] = []) {
  const context: StackContext = {
    home,
    ports: choosePorts({}, {}),
    addresses: {
      temporalAddress: '',
      temporalUiUrl: '',
      databaseUrl: '',
      phoenixUrl: '',
      vespaUrl: '',
      vespaConfigUrl: '',
    },
    database: { owner: '', app: '' },
    external: new Set(external),
    temporalNamespace: 'default',
    log: (line) => said.push(line),
    signal: cancel.signal,
  };
  const service: ServiceDefinition = {
    name: 'worker-data',
    after: [],
    ports: [],
    command: async () => ({ file: process.execPath, args: ['-e', script] }),
    healthy: async (_, log) => log.includes('ready'),
    stopSignal: 'SIGTERM',
    stopMs: 1000,
    ...more,
  };
  runner = new ServiceRunner(service, context, (started) => records.push(started));
  return runner;
}

const SERVES = `console.log('ready'); setInterval(() => {}, 1000);`;

describe('a service', () => {
  it('is up when it says so, has its after-start done, and is ended and forgotten on stop', async () => {
    let prepared = 0;
    const service = run(SERVES, { afterStart: async () => void (prepared += 1) });
    await service.start();
    expect(service.state).toBe('running');
    expect(prepared).toBe(1);
    const { identity } = records[0]!;
    expect(identity.pid).toBe(service.pid);
    await service.stop();
    expect(isRunning(identity)).toBe(false);
    expect(service.state).toBe('stopped');
    expect(records.at(-1)).toBeUndefined();
  });

  it('that ends at its start is tried three times, then named with what it printed', async () => {
    const service = run(`console.error('cannot open the data folder'); process.exit(7);`);
    const failure = await service.start().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      message: 'worker-data ended at its start (exit 7):\ncannot open the data folder',
      hint: `see ${path.join(home, 'logs', 'worker-data.log')}`,
      exitCode: 1,
    });
    expect(records).toHaveLength(3);
  });

  it('that fails once at its start is none the worse', async () => {
    const marker = path.join(home, 'second');
    const service = run(
      `const fs = require('node:fs');
       if (!fs.existsSync(${JSON.stringify(marker)})) { fs.writeFileSync(${JSON.stringify(marker)}, ''); process.exit(1); }
       ${SERVES}`,
    );
    await service.start();
    expect(service.state).toBe('running');
  });

  it('killed is started again by itself; its log of before does not count as ready', async () => {
    const service = run(`setTimeout(() => { ${SERVES} }, 100);`);
    await service.start();
    const first = service.pid!;
    service.kill('SIGKILL');
    await expect.poll(() => service.state).toBe('restarting');
    await service.up();
    expect(service.pid).not.toBe(first);
    expect(isRunning(records[0]!.identity)).toBe(false);
    expect(records.at(-1)!.logStart).toBeGreaterThan(0);
    expect(said).toContainEqual(expect.stringMatching(/ended \(SIGKILL\); starting it again in 0.5 s/));
    expect(said.at(-1)).toBe('worker-data is up again');
  });

  it('that keeps ending is started with growing pauses, and at once when nudged', async () => {
    const service = run(`${SERVES} setTimeout(() => process.exit(9), 700);`);
    await service.start();
    const pauses = () => said.flatMap((line) => /starting it again in ([\d.]+) s/.exec(line)?.[1] ?? []);
    await expect.poll(pauses).toEqual(['0.5', '1', '2']);
    const starts = records.length;
    service.nudge();
    // Its process, and not what that does: a busy machine takes its time for a program to begin and end.
    const begun = expect.poll(() => records.length, { interval: 20 }).toBe(starts + 1);
    // Two timers, of which a busy machine lets the shorter end first.
    const pause = delay(1_900, 'after its pause', { ref: false });
    expect(await Promise.race([begun.then(() => 'at once'), pause])).toBe('at once');
    await expect.poll(() => pauses().length).toBe(4);
  });

  it('restarts on demand, waiting until it answers', async () => {
    const service = run(SERVES);
    await service.start();
    const first = records[0]!.identity;
    await service.restart();
    expect(isRunning(first)).toBe(false);
    expect(service.state).toBe('running');
    expect(service.pid).not.toBe(first.pid);
  });

  it('that will not end is killed after its time', async () => {
    const service = run(`process.on('SIGTERM', () => {}); ${SERVES}`, { stopMs: 200 });
    await service.start();
    const { identity } = records[0]!;
    await service.stop();
    expect(isRunning(identity)).toBe(false);
  });

  it.runIf(process.platform === 'linux')(
    'is not up because somebody else answers: its port must be its own',
    async () => {
      const service = run(SERVES, { ports: ['vespa'], healthy: async () => true });
      const failure = await service.start().catch((error: unknown) => error);
      expect(failure).toMatchObject({ message: expect.stringContaining('port 8080 for vespa is in use') });
      expect(service.pid).toBeUndefined();
    },
  );

  it('that is external is checked, never started, restarted or ended', async () => {
    const service = run('', { healthy: async () => true }, ['worker-data']);
    await service.start();
    expect(service.state).toBe('external');
    expect(records).toEqual([]);
    await expect(service.restart()).rejects.toThrow(/external/);
    await service.stop();
    expect(service.state).toBe('external');
  });
});
