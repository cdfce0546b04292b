import { once } from 'node:events';
import net from 'node:net';
import { OpsError } from '../domain/errors.js';

/** Ports of the embedded stack; the usual ones, so that other tools find the services where they look. */
export const DEFAULT_PORTS = {
  postgres: 5433,
  temporal: 7233,
  'temporal-ui': 8233,
  phoenix: 6006,
  'phoenix-grpc': 4317,
  vespa: 8080,
  'vespa-config': 19071,
} as const;
export type PortName = keyof typeof DEFAULT_PORTS;
export type Ports = Readonly<Record<PortName, number>>;

/** `CVOPS_PORT_TEMPORAL_UI` and so on win over the default; the offset moves what is not named. */
export function choosePorts(offset: number, env: NodeJS.ProcessEnv = process.env): Ports {
  const entries = Object.entries(DEFAULT_PORTS).map(([name, port]) => {
    const variable = portVariable(name as PortName);
    const text = env[variable];
    if (text === undefined) return [name, checkPort(port + offset, `--port-offset ${offset}`)];
    return [name, checkPort(Number(text), variable)];
  });
  return Object.fromEntries(entries) as Ports;
}

export function portVariable(name: PortName): string {
  return `CVOPS_PORT_${name.toUpperCase().replaceAll('-', '_')}`;
}

function checkPort(port: number, where: string): number {
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new OpsError('InvalidInput', `${where} gives no port from 1 to 65535`);
}

/** @throws OpsError `Unavailable` naming the service, the port and the ways to another one */
export async function requireFreePort(name: PortName, port: number): Promise<void> {
  const server = net.createServer();
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true });
    await once(server, 'listening');
  } catch {
    throw new OpsError(
      'Unavailable',
      `port ${port} for ${name} is in use by another program`,
      `stop that, or choose other ports: ${portVariable(name)}=${port + 1000} or cvops up --port-offset 1000`,
    );
  } finally {
    server.close();
  }
}
