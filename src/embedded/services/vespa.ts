import path from 'node:path';
import { httpHealth } from '../health.js';
import { built } from './built.js';
import type { ServiceDefinition } from './definition.js';

/** The Vespa emulator: config server, documents and search in one process. */
export const vespa: ServiceDefinition = {
  name: 'vespa',
  after: [],
  ports: ['vespa', 'vespa-config'],
  command: async ({ home, ports }) => {
    const named = {
      host: '127.0.0.1',
      port: ports.vespa,
      'config-port': ports['vespa-config'],
      'data-dir': path.join(home, 'vespa'),
      // Every package that becomes active is kept there: tests prove them with Vespa's own model.
      ...(process.env['CVOPS_RECORD_PACKAGES']
        ? { 'record-packages': process.env['CVOPS_RECORD_PACKAGES'] }
        : {}),
    };
    return {
      file: process.execPath,
      args: [
        built('src/embedded/vespa/main.js'),
        ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
      ],
    };
  },
  healthy: async ({ addresses, external }) =>
    (await httpHealth(`${addresses.vespaConfigUrl}/state/v1/health`)) &&
    // A real container's port stays closed until the first application is deployed, which is a worker's task.
    (external.has('vespa') || (await httpHealth(`${addresses.vespaUrl}/state/v1/health`))),
  stopSignal: 'SIGTERM',
  stopMs: 15_000,
};
