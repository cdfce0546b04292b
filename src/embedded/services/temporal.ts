import path from 'node:path';
import { OpsError } from '../../domain/errors.js';
import { SEARCH_ATTRIBUTES } from '../../domain/searchAttributes.js';
import { httpHealth } from '../health.js';
import { findTemporalProgram } from '../temporal.js';
import { missingSearchAttributes, setRetention, temporalVersion } from '../temporalServer.js';
import type { ServiceDefinition } from './definition.js';

/** Closed operations stay visible as long as a soft-deleted tenant waits; the dev server's default is a day. */
const RETENTION_DAYS = 90;
/**
 * Left alone, SQLite keeps a rollback journal and syncs it for every step of every workflow. With a write-ahead log a
 * killed server still loses nothing; only a machine that loses power may forget the last moments.
 */
const PRAGMAS = ['journal_mode=wal', 'synchronous=normal'];

export const temporal: ServiceDefinition = {
  name: 'temporal',
  after: [],
  ports: ['temporal', 'temporal-ui'],
  prepare: async ({ home, log, signal }) => void (await findTemporalProgram(home, log, signal)),
  command: async ({ home, ports, temporalNamespace, log, signal }) => {
    const { file, options } = await findTemporalProgram(home, log, signal);
    const named = {
      ip: '127.0.0.1',
      port: ports.temporal,
      'ui-port': ports['temporal-ui'],
      'db-filename': path.join(home, 'temporal.db'),
      namespace: temporalNamespace,
      'log-level': 'warn',
      // Without it fairness keys are ignored and tasks run first come, first served.
      'dynamic-config-value': 'matching.enableFairness=true',
    };
    return {
      file,
      args: [
        ...['server', 'start-dev', ...options],
        // The user's own profiles of the temporal command are not for this server.
        ...['--disable-config-file', '--disable-config-env'],
        ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
        ...PRAGMAS.flatMap((pragma) => ['--sqlite-pragma', pragma]),
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
