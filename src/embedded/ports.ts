import { once } from 'node:events';
import net from 'node:net';
import { OpsError } from '../domain/errors.js';
import { listener } from './listeners.js';
import { commandLine } from './processes.js';

/** Ports of the embedded stack; the usual ones, so that other tools find the services where they look. */
export const DEFAULT_PORTS = {
  // Not 5432: that is where a PostgreSQL of the machine's own would be.
  postgres: 5433,
  temporal: 7233,
  'temporal-ui': 8233,
  phoenix: 6006,
  'phoenix-grpc': 4317,
  vespa: 8080,
  'vespa-config': 19071,
  // Prometheus: of the workers' SDK, and of the tenants.
  'metrics-control': 9464,
  'metrics-data': 9465,
  'metrics-tenants': 9466,
} as const;
export type PortName = keyof typeof DEFAULT_PORTS;
export type Ports = Readonly<Record<PortName, number>>;

export interface PortChoice {
  /** Added to every default; a port that is named is taken as it is. */
  readonly offset?: number;
  readonly named?: Readonly<Partial<Record<PortName, number>>>;
}

/**
 * A port named by an option wins, else `CVOPS_PORT_TEMPORAL_UI` and so on, else the default plus the offset.
 *
 * @throws OpsError `InvalidInput` when one is no port, or two services would have the same
 */
export function choosePorts(choice: PortChoice = {}, env: NodeJS.ProcessEnv = process.env): Ports {
  const { offset = 0, named = {} } = choice;
  const owners = new Map<number, string>();
  const entries = Object.entries(DEFAULT_PORTS).map(([key, standard]) => {
    const name = key as PortName;
    const variable = portVariable(name);
    const chosen = named[name] ?? (env[variable] ? Number(env[variable]) : standard + offset);
    if (!Number.isInteger(chosen) || chosen < 1 || chosen > 65_535) {
      const where = env[variable] && named[name] === undefined ? variable : `--port-offset or --port`;
      throw new OpsError('InvalidInput', `${name} needs a port from 1 to 65535; see ${where}`);
    }
    const other = owners.get(chosen);
    if (other !== undefined)
      throw new OpsError('InvalidInput', `${other} and ${name} cannot both have port ${chosen}`);
    owners.set(chosen, name);
    return [name, chosen];
  });
  return Object.fromEntries(entries) as Ports;
}

export function portVariable(name: PortName): string {
  return `CVOPS_PORT_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** `temporal=7300`, as `cvops up --port` takes it. @throws OpsError `InvalidInput` */
export function parseNamedPort(text: string): { name: PortName; port: number } {
  const [name = '', port = ''] = text.split('=');
  if (Object.hasOwn(DEFAULT_PORTS, name) && /^[0-9]{1,5}$/.test(port))
    return { name: name as PortName, port: Number(port) };
  throw new OpsError(
    'InvalidInput',
    `not a service and its port: ${JSON.stringify(text.slice(0, 60))}`,
    `one of ${Object.keys(DEFAULT_PORTS).join(', ')}, such as --port temporal=7300`,
  );
}

/** @throws OpsError `Unavailable` naming the service, the port, who has it and the way to another one */
export async function requireFreePort(name: PortName, port: number): Promise<void> {
  const server = net.createServer();
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw portTaken(name, port);
    throw new OpsError(
      'Unavailable',
      `cannot listen on port ${port} for ${name}: ${(error as Error).message}`,
    );
  } finally {
    if (server.listening) {
      server.close();
      await once(server, 'close');
    }
  }
}

export function portTaken(name: PortName, port: number): OpsError {
  const pid = listener(port);
  const owner = pid === undefined ? 'another program' : `process ${pid} (${commandLine(pid).slice(0, 120)})`;
  return new OpsError(
    'Unavailable',
    `port ${port} for ${name} is in use by ${owner}`,
    `stop it, or choose another port: cvops up --port ${name}=${port < 64_000 ? port + 1000 : port - 1000}, or --port-offset 1000 for all, or ${portVariable(name)}`,
  );
}
