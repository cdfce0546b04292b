import path from 'node:path';
import { httpHealth } from '../health.js';
import { pythonTool } from '../python.js';
import type { ServiceDefinition } from './definition.js';

/**
 * Phoenix has no setting for the address of its gRPC port and takes every interface, without authentication. So the
 * one place where it names that address is changed before it starts.
 */
const START_ON_LOOPBACK = `
import grpc.aio, runpy, sys
listen = grpc.aio._server.Server.add_insecure_port
grpc.aio._server.Server.add_insecure_port = lambda server, address: listen(server, address.replace('[::]:', '127.0.0.1:'))
sys.argv = ['phoenix', 'serve']
runpy.run_module('phoenix.server.main', run_name='__main__')
`;

export const phoenix: ServiceDefinition = {
  name: 'phoenix',
  after: ['postgres'],
  ports: ['phoenix', 'phoenix-grpc'],
  prepare: async ({ home, log, signal }) => void (await pythonTool(home, 'phoenix', log, signal)),
  command: async ({ home, ports, database, log, signal }) => ({
    file: path.join(await pythonTool(home, 'phoenix', log, signal), 'python'),
    args: ['-c', START_ON_LOOPBACK],
    // What the user's environment says about some other Phoenix is not for this one.
    without: (name) => name.startsWith('PHOENIX_') || name.startsWith('PYTHON'),
    env: {
      PHOENIX_WORKING_DIR: path.join(home, 'phoenix'),
      PHOENIX_SQL_DATABASE_URL: database.owner,
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
      PYTHONUNBUFFERED: '1',
    },
  }),
  // Not /healthz: that answers before the database is migrated.
  healthy: async ({ addresses }) => httpHealth(`${addresses.phoenixUrl}/readyz`),
  stopSignal: 'SIGTERM',
  // It stores what it accepted before it ends.
  stopMs: 15_000,
};
