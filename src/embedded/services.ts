import path from 'node:path';
import { existsSync } from 'node:fs';
import { OpsError } from '../domain/errors.js';
import { SEARCH_ATTRIBUTES } from '../domain/searchAttributes.js';
import { projectRoot } from '../projectRoot.js';
import { migrate } from '../registry/migrate.js';
import type { StackAddresses } from '../settings.js';
import { httpHealth, portOpen } from './health.js';
import type { PortName, Ports } from './ports.js';
import { postgresVersion, preparePostgres, preparedDatabase } from './postgres.js';
import type { Command } from './processes.js';
import { pythonTool } from './python.js';
import { findTemporal } from './temporal.js';

/** What a service needs to know to be described: where things are and how to say what it does. */
export interface StackContext {
  readonly home: string;
  readonly ports: Ports;
  readonly addresses: StackAddresses;
  readonly log: (line: string) => void;
}

/** One process of the stack, and the names `status` shows for it. */
export interface ServiceDefinition {
  readonly name: ServiceName;
  /** What must be up before it starts. */
  readonly after: readonly ServiceName[];
  readonly ports: readonly PortName[];
  readonly command: (context: StackContext) => Promise<Command>;
  /** Throws, or answers false, until the service does its work. */
  readonly healthy: (context: StackContext, logText: string) => Promise<boolean>;
  /** Once it is up, before anything that needs it starts. */
  readonly afterStart?: (context: StackContext) => Promise<void>;
  readonly stopSignal: NodeJS.Signals;
}

export const SERVICE_NAMES = [
  'postgres',
  'temporal',
  'phoenix',
  'vespa',
  'worker-control',
  'worker-data',
] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

const dist = path.join(projectRoot, 'dist');

const postgres: ServiceDefinition = {
  name: 'postgres',
  after: [],
  ports: ['postgres'],
  command: async ({ home, ports }) =>
    (await preparePostgres(path.join(home, 'postgres'), ports.postgres)).command,
  healthy: async ({ addresses }) =>
    (await postgresVersion(addresses.databaseUrl.replace(/\/[^/]*$/, '/postgres'))) !== '',
  afterStart: async ({ addresses, log }) => {
    await preparedDatabase(addresses.databaseUrl);
    const applied = await migrate(addresses.databaseUrl);
    if (applied.length > 0) log(`registry migrated: ${applied.join(', ')}`);
  },
  // "Fast": ends the connections; the default would wait for them.
  stopSignal: 'SIGINT',
};

const temporal: ServiceDefinition = {
  name: 'temporal',
  after: [],
  ports: ['temporal', 'temporal-ui'],
  command: async ({ home, ports, log }) => ({
    file: await findTemporal(home, log),
    args: [
      ...[
        'server',
        'start-dev',
        '--ip',
        '127.0.0.1',
        '--port',
        String(ports.temporal),
        '--ui-port',
        String(ports['temporal-ui']),
      ],
      ...[
        '--db-filename',
        path.join(home, 'temporal.db'),
        '--log-level',
        'warn',
        '--disable-config-file',
        '--disable-config-env',
      ],
      ...Object.values(SEARCH_ATTRIBUTES).flatMap(({ name }) => ['--search-attribute', `${name}=Keyword`]),
      // Without it fairness keys are ignored and tasks run first come, first served.
      ...['--dynamic-config-value', 'matching.enableFairness=true'],
    ],
  }),
  healthy: async ({ ports, addresses }) =>
    (await portOpen(ports.temporal)) &&
    (await httpHealth(`${addresses.temporalUiUrl}/api/v1/namespaces/default`)),
  stopSignal: 'SIGTERM',
};

const phoenix: ServiceDefinition = {
  name: 'phoenix',
  after: ['postgres'],
  ports: ['phoenix', 'phoenix-grpc'],
  command: async ({ home, ports, addresses, log }) => ({
    file: path.join(await pythonTool(home, 'phoenix', log), 'python'),
    args: ['-m', 'phoenix.server.main', 'serve'],
    env: {
      PHOENIX_WORKING_DIR: path.join(home, 'phoenix'),
      PHOENIX_SQL_DATABASE_URL: addresses.databaseUrl,
      PHOENIX_SQL_DATABASE_SCHEMA: 'phoenix',
      PHOENIX_HOST: '127.0.0.1',
      PHOENIX_PORT: String(ports.phoenix),
      PHOENIX_GRPC_PORT: String(ports['phoenix-grpc']),
      // On by default and of no use here: calls home, an MCP server, an assistant that runs code.
      PHOENIX_TELEMETRY_ENABLED: 'false',
      PHOENIX_ALLOW_EXTERNAL_RESOURCES: 'false',
      PHOENIX_DISABLE_AGENT_ASSISTANT: 'true',
      PHOENIX_ENABLE_MCP_SERVER: 'false',
      PHOENIX_ALLOWED_SANDBOX_PROVIDERS: 'NONE',
      PHOENIX_LOG_MIGRATIONS: 'false',
    },
  }),
  healthy: async ({ addresses }) => httpHealth(`${addresses.phoenixUrl}/readyz`),
  stopSignal: 'SIGTERM',
};

const vespa: ServiceDefinition = {
  name: 'vespa',
  after: [],
  ports: ['vespa', 'vespa-config'],
  command: async ({ home, ports }) => ({
    file: process.execPath,
    args: [
      built('src/embedded/vespa/main.js'),
      ...[
        '--host',
        '127.0.0.1',
        '--port',
        String(ports.vespa),
        '--config-port',
        String(ports['vespa-config']),
      ],
      ...['--data-dir', path.join(home, 'vespa')],
    ],
  }),
  healthy: async ({ addresses }) =>
    (await httpHealth(`${addresses.vespaUrl}/state/v1/health`)) &&
    (await httpHealth(`${addresses.vespaConfigUrl}/state/v1/health`)),
  stopSignal: 'SIGTERM',
};

function worker(role: 'control' | 'data'): ServiceDefinition {
  return {
    name: `worker-${role}`,
    after: ['postgres', 'temporal', 'phoenix', 'vespa'],
    ports: [],
    command: async ({ home, addresses }) => ({
      file: process.execPath,
      args: [built('workers/main.js'), role],
      env: { ...addressVariables(addresses), CVOPS_HOME: home },
    }),
    healthy: async (_, logText) => logText.includes('worker ready'),
    stopSignal: 'SIGTERM',
  };
}

export const SERVICES: readonly ServiceDefinition[] = [
  postgres,
  temporal,
  phoenix,
  vespa,
  worker('control'),
  worker('data'),
];

/** The stack's addresses as the variables that `loadSettings` reads. */
export function addressVariables(addresses: StackAddresses): Record<string, string> {
  return {
    TEMPORAL_ADDRESS: addresses.temporalAddress,
    TEMPORAL_UI_URL: addresses.temporalUiUrl,
    DATABASE_URL: addresses.databaseUrl,
    PHOENIX_URL: addresses.phoenixUrl,
    VESPA_URL: addresses.vespaUrl,
    VESPA_CONFIG_URL: addresses.vespaConfigUrl,
  };
}

function built(file: string): string {
  const full = path.join(dist, file);
  if (existsSync(full)) return full;
  throw new OpsError('Unavailable', `${full} is not built`, 'build the project: npm run build');
}
