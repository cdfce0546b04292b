import { addressVariables } from '../addresses.js';
import { built } from './built.js';
import type { ServiceDefinition } from './definition.js';

/** What a worker prints when it polls (workers/main.ts). */
export const READY_LINE = 'worker ready';

/**
 * For every process that runs a worker: glibc (Linux) gives each thread that allocates an arena of its own, up to eight a core,
 * and what they hold is never given back. With two, a control worker grew by 10 MB over 5,000 videos instead of 52
 * (`docs/benchmarks.md`), at the same processor time.
 */
export function workerVariables(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return { MALLOC_ARENA_MAX: env['MALLOC_ARENA_MAX'] ?? '2' };
}

export function worker(role: 'control' | 'data'): ServiceDefinition {
  return {
    name: `worker-${role}`,
    after: ['postgres', 'temporal', 'phoenix', 'vespa'],
    ports: role === 'control' ? ['metrics-control', 'metrics-tenants'] : ['metrics-data'],
    command: async ({ home, addresses, ports, temporalNamespace }) => ({
      file: process.execPath,
      args: [built('workers/main.js'), role],
      env: {
        ...workerVariables(),
        ...addressVariables(addresses),
        TEMPORAL_NAMESPACE: temporalNamespace,
        CVOPS_HOME: home,
        CVOPS_METRICS_ADDRESS: `127.0.0.1:${ports[`metrics-${role}`]}`,
        ...(role === 'control'
          ? { CVOPS_TENANT_METRICS_ADDRESS: `127.0.0.1:${ports['metrics-tenants']}` }
          : {}),
        LOG_LEVEL: audibleLevel(process.env['LOG_LEVEL']),
      },
    }),
    healthy: async (_, logText) => logText.includes(READY_LINE),
    stopSignal: 'SIGTERM',
    // Its own bounds: 10 s for activities to end, 30 s to be forced (workers/main.ts).
    stopMs: 35_000,
  };
}

/** The ready line is of level info: a quieter worker could not be told from one that hangs. */
function audibleLevel(level: string | undefined): string {
  return level === 'debug' || level === 'trace' ? level : 'info';
}
