import path from 'node:path';
import { migrate } from '../../registry/migrate.js';
import { maintenanceUrl, postgresVersion, preparePostgres, preparedDatabase } from '../postgres.js';
import type { ServiceDefinition } from './definition.js';

export const postgres: ServiceDefinition = {
  name: 'postgres',
  after: [],
  ports: ['postgres'],
  command: async ({ home, ports }) =>
    (await preparePostgres(path.join(home, 'postgres'), ports.postgres)).command,
  healthy: async ({ addresses, external }) => {
    const { databaseUrl } = addresses;
    return (
      (await postgresVersion(external.has('postgres') ? databaseUrl : maintenanceUrl(databaseUrl))) !== ''
    );
  },
  afterStart: async ({ addresses, external, log }) => {
    // On a server of somebody else's only our own tables are made, in the database that was named.
    if (!external.has('postgres')) await preparedDatabase(addresses.databaseUrl);
    const applied = await migrate(addresses.databaseUrl);
    if (applied.length > 0) log(`registry migrated: ${applied.join(', ')}`);
  },
  // "Fast" shutdown: ends the connections; SIGTERM would wait for clients to leave.
  stopSignal: 'SIGINT',
  stopMs: 20_000,
};
