import path from 'node:path';
import { OpsError } from '../domain/errors.js';
import type { StackAddresses } from '../settings.js';
import type { Ports } from './ports.js';
import { type PostgresUrls, plannedPostgresUrls } from './postgres.js';

/** Services that an address in the environment replaces: used and health-checked, not started. */
const VARIABLES = {
  postgres: ['DATABASE_URL'],
  temporal: ['TEMPORAL_ADDRESS'],
  phoenix: ['PHOENIX_URL'],
  vespa: ['VESPA_URL', 'VESPA_CONFIG_URL'],
} as const;
export type ReplaceableService = keyof typeof VARIABLES;

/** @throws OpsError `InvalidInput` when only half of a pair is given: the other half would be the emulator's */
export function externalServices(env: NodeJS.ProcessEnv): ReadonlySet<ReplaceableService> {
  const external = new Set<ReplaceableService>();
  for (const [name, variables] of Object.entries(VARIABLES)) {
    const given = variables.filter((variable) => env[variable]);
    if (given.length === variables.length) external.add(name as ReplaceableService);
    else if (given.length > 0)
      throw new OpsError('InvalidInput', `${variables.join(' and ')} go together: set both or none`);
  }
  return external;
}

/**
 * The registry's database, as the application and as its owner reach it. A database of somebody else's has one URL, unless
 * `CVOPS_OWNER_DATABASE_URL` names another for its owner.
 */
export async function chooseDatabase(
  home: string,
  ports: Ports,
  env: NodeJS.ProcessEnv,
): Promise<PostgresUrls> {
  const app = env['DATABASE_URL'];
  if (app) return { app, owner: env['CVOPS_OWNER_DATABASE_URL'] || app };
  return plannedPostgresUrls(path.join(home, 'postgres'), ports.postgres);
}

/** Where everything will be: what the environment names, else this machine and the chosen ports. */
export function chooseAddresses(
  ports: Ports,
  database: PostgresUrls,
  env: NodeJS.ProcessEnv,
): StackAddresses {
  const local = (port: number) => `http://127.0.0.1:${port}`;
  const trimmed = (url: string | undefined) => url?.replace(/\/+$/, '') || undefined;
  return {
    databaseUrl: database.app,
    temporalAddress: env['TEMPORAL_ADDRESS'] || `127.0.0.1:${ports.temporal}`,
    // Beside an external server there may be a UI anywhere, or none.
    temporalUiUrl:
      (env['TEMPORAL_ADDRESS'] && trimmed(env['TEMPORAL_UI_URL'])) || local(ports['temporal-ui']),
    phoenixUrl: trimmed(env['PHOENIX_URL']) ?? local(ports.phoenix),
    vespaUrl: trimmed(env['VESPA_URL']) ?? local(ports.vespa),
    vespaConfigUrl: trimmed(env['VESPA_CONFIG_URL']) ?? local(ports['vespa-config']),
  };
}

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
