import path from 'node:path';
import { codecPort } from '../../domain/codecServer.js';
import { OpsError } from '../../domain/errors.js';
import { SEARCH_ATTRIBUTES } from '../../domain/searchAttributes.js';
import { httpHealth } from '../health.js';
import { findTemporalProgram } from '../temporal.js';
import { missingSearchAttributes, setRetention, temporalVersion } from '../temporalServer.js';
import type { ServiceDefinition } from './definition.js';

/** Closed operations stay visible as long as a soft-deleted tenant waits; the dev server's default is a day. */
const RETENTION_DAYS = 90;

const DYNAMIC_CONFIG = [
  // Without it fairness keys are ignored and tasks run first come, first served.
  'matching.enableFairness=true',
  // Each partition is fair by itself only, and a worker of few slots is not at all of them at once.
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
];

export const temporal: ServiceDefinition = {
  name: 'temporal',
  after: [],
  ports: ['temporal', 'temporal-ui'],
  prepare: async ({ home, log, signal }) => void (await findTemporalProgram(home, log, signal)),
  command: async ({ home, ports, addresses, temporalNamespace, log, signal }) => {
    const { file, options } = await findTemporalProgram(home, log, signal);
    const named = {
      ip: '127.0.0.1',
      port: ports.temporal,
      'ui-port': ports['temporal-ui'],
      'db-filename': path.join(home, 'temporal.db'),
      namespace: temporalNamespace,
      'log-level': 'warn',
      // Where `cvops codec-server` is, once somebody starts it.
      ...(process.env['CVOPS_PAYLOAD_KEYS']
        ? { 'ui-codec-endpoint': `http://127.0.0.1:${codecPort(addresses.temporalUiUrl)}` }
        : {}),
    };
    return {
      file,
      args: [
        ...['server', 'start-dev', ...options],
        // The user's own profiles of the temporal command are not for this server.
        ...['--disable-config-file', '--disable-config-env'],
        ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
        ...DYNAMIC_CONFIG.flatMap((value) => ['--dynamic-config-value', value]),
        ...Object.values(SEARCH_ATTRIBUTES).flatMap(({ name }) => ['--search-attribute', `${name}=Keyword`]),
      ],
    };
  },
  healthy: async ({ addresses, temporalNamespace, external }) =>
    (await temporalVersion(addresses.temporalAddress, temporalNamespace)) !== '' &&
    (external.has('temporal') || (await httpHealth(`${addresses.temporalUiUrl}/healthz`))),
  afterStart: async ({ addresses, temporalNamespace, external }) => {
    const { temporalAddress } = addresses;
    if (!external.has('temporal')) return setRetention(temporalAddress, temporalNamespace, RETENTION_DAYS);
    const missing = await missingSearchAttributes(temporalAddress, temporalNamespace);
    if (missing.length === 0) return;
    const options = missing.map((name) => `--name ${name} --type Keyword`).join(' ');
    throw new OpsError(
      'Unavailable',
      `the Temporal server at ${temporalAddress} does not know the search attributes ${missing.join(', ')}`,
      `temporal operator search-attribute create --address ${temporalAddress} --namespace ${temporalNamespace} ${options}`,
    );
  },
  stopSignal: 'SIGTERM',
  stopMs: 10_000,
};
