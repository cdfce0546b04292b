import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { listener, listensOn } from '../../../src/embedded/listeners.js';
import {
  DEFAULT_PORTS,
  choosePorts,
  parseNamedPort,
  portVariable,
  requireFreePort,
} from '../../../src/embedded/ports.js';

const servers: net.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(host: string): Promise<number> {
  const server = net.createServer().listen(0, host);
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

describe('choosePorts', () => {
  it('adds the offset to defaults only: a named port and a variable are taken as they are', () => {
    const ports = choosePorts(
      { offset: 100, named: { temporal: 7300 } },
      { CVOPS_PORT_TEMPORAL: '1', CVOPS_PORT_TEMPORAL_UI: '9000' },
    );
    expect(ports).toEqual({
      ...Object.fromEntries(Object.entries(DEFAULT_PORTS).map(([name, port]) => [name, port + 100])),
      temporal: 7300,
      'temporal-ui': 9000,
    });
  });

  it.each([
    [{ CVOPS_PORT_VESPA: '99999' }, /vespa needs a port.*CVOPS_PORT_VESPA/],
    [{ CVOPS_PORT_VESPA: 'eighty' }, /vespa needs a port/],
    [{ CVOPS_PORT_VESPA: '6006' }, /phoenix and vespa cannot both have port 6006/],
  ])('refuses %j', (env, message) => {
    expect(() => choosePorts({}, env)).toThrow(message);
  });

  it('refuses an offset that leaves the range', () => {
    expect(() => choosePorts({ offset: 60_000 }, {})).toThrow(/needs a port from 1 to 65535/);
  });

  it('names every service in a variable of its own', () => {
    expect(portVariable('phoenix-grpc')).toBe('CVOPS_PORT_PHOENIX_GRPC');
  });
});

describe('parseNamedPort', () => {
  it('reads service=port', () => {
    expect(parseNamedPort('temporal-ui=9000')).toEqual({ name: 'temporal-ui', port: 9000 });
  });
  it.each(['temporal', 'temporal=', 'temporal=x', 'toString=80', 'web=80', '=80', 'temporal=123456'])(
    'refuses %j, listing the services',
    (text) => {
      expect(() => parseNamedPort(text)).toThrow(/not a service and its port/);
    },
  );
});

describe('requireFreePort', () => {
  it.each(['127.0.0.1', '0.0.0.0'])(
    'names service, owner and ways out for a port taken on %s',
    async (host) => {
      const port = await listen(host);
      const refused = await requireFreePort('vespa', port).catch((error: unknown) => error);
      expect(refused).toMatchObject({
        exitCode: 1,
        message: expect.stringMatching(`port ${port} for vespa is in use by process ${process.pid} `),
        hint: expect.stringMatching(/--port vespa=\d+.*--port-offset.*CVOPS_PORT_VESPA/),
      });
    },
  );

  it('leaves a free port free', async () => {
    const port = await listen('127.0.0.1');
    servers.pop()!.close();
    await requireFreePort('vespa', port);
    await requireFreePort('vespa', port);
  });
});

describe.runIf(process.platform === 'linux')('who listens', () => {
  it('is told apart from whoever does not', async () => {
    const port = await listen('127.0.0.1');
    expect(listensOn(process.pid, port)).toBe(true);
    expect(listensOn(process.ppid, port)).toBe(false);
    expect(listener(port)).toBe(process.pid);
    servers.pop()!.close();
    expect(listensOn(process.pid, port)).toBe(false);
    expect(listener(port)).toBeUndefined();
  });
});
