import path from 'node:path';
import { migrate } from '../../registry/migrate.js';
import {
  maintenanceUrl,
  openAppRole,
  postgresVersion,
  preparePostgres,
  preparedDatabase,
} from '../postgres.js';
import type { ServiceDefinition } from './definition.js';

export const postgres: ServiceDefinition = {
  name: 'postgres',
  after: [],
  ports: ['postgres'],
  command: async ({ home, ports }) =>
    (await preparePostgres(path.join(home, 'postgres'), ports.postgres)).command,
  healthy: async ({ database: { owner }, external }) =>
    (await postgresVersion(external.has('postgres') ? owner : maintenanceUrl(owner))) !== '',
  afterStart: async ({ database, external, log }) => {
    // On a server of somebody else's only our own tables are made, in the database that was named.
    if (!external.has('postgres')) await preparedDatabase(database.owner);
    const applied = await migrate(database.owner);
    if (applied.length > 0) log(`registry migrated: ${applied.join(', ')}`);
    if (!external.has('postgres')) await openAppRole(database);
  },
  // "Fast" shutdown: ends the connections; SIGTERM would wait for clients to leave.
  stopSignal: 'SIGINT',
  stopMs: 20_000,
};
