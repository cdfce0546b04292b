import { existsSync } from 'node:fs';
import { loadSettings, stackFile } from '../settings.js';
import { toolVersion } from '../version.js';
import { type ReplaceableService, externalServices } from './addresses.js';
import { httpHealth } from './health.js';
import { readLog } from './logs.js';
import { postgresVersion } from './postgres.js';
import { isRunning } from './processes.js';
import { readRecords, supervisorOf } from './records.js';
import type { ServiceName } from './services/index.js';
import { READY_LINE } from './services/worker.js';
import { temporalVersion } from './temporalServer.js';

/**
 * `running`: ours, and answers; `starting`: ours, does not answer yet; `unhealthy`: ought to answer and does not;
 * `external`: answers, but is not ours; `stopped`: is not there.
 */
export type ServiceState = 'running' | 'starting' | 'unhealthy' | 'stopped' | 'external';

export interface ServiceStatus {
  readonly name: string;
  readonly state: ServiceState;
  /** A URL, without secrets. */
  readonly address: string;
  /** As the service itself says; empty when it does not answer. */
  readonly version: string;
}

/** What a person or a script may ask of the stack, whoever started it. Takes up to 3 s for services that hang. */
export async function stackStatus(
  home: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ServiceStatus[]> {
  const settings = loadSettings({ ...env, CVOPS_HOME: home });
  const records = readRecords(home);
  const given = externalServices(env);
  const supervisor = supervisorOf(home);
  const ready = supervisor?.ready === true && existsSync(stackFile(home));

  const one = async (
    name: string,
    service: ServiceName,
    address: string,
    probe: () => Promise<string | undefined>,
  ): Promise<ServiceStatus> => {
    const record = records[service];
    const ours = record !== undefined && isRunning(record.identity);
    const version = await probe().catch(() => undefined);
    return { name, state: stateOf(service, ours, version !== undefined), address, version: version ?? '' };
  };
  const stateOf = (service: ServiceName, ours: boolean, answers: boolean): ServiceState => {
    if (ours) return answers ? 'running' : supervisor && !ready ? 'starting' : 'unhealthy';
    const recorded = records[service] !== undefined;
    if (answers) return recorded ? 'stopped' : 'external';
    return given.has(service as ReplaceableService) ? 'unhealthy' : 'stopped';
  };

  const { temporalAddress, temporalUiUrl, databaseUrl, phoenixUrl, vespaUrl, vespaConfigUrl } = settings;
  const worker = (role: 'control' | 'data') =>
    one(`worker-${role}`, `worker-${role}`, `temporal://${temporalAddress}/${role}`, async () => {
      const record = records[`worker-${role}`];
      if (record === undefined || !isRunning(record.identity)) return undefined;
      const polls = readLog(home, `worker-${role}`, record.logStart).includes(READY_LINE);
      return polls ? toolVersion : undefined;
    });
  return Promise.all([
    one('temporal', 'temporal', `temporal://${temporalAddress}`, () =>
      temporalVersion(temporalAddress, settings.temporalNamespace),
    ),
    one('temporal-ui', 'temporal', temporalUiUrl, () => text(`${temporalUiUrl}/api/v1/settings`, 'Version')),
    one('postgres', 'postgres', withoutPassword(databaseUrl), () => postgresVersion(databaseUrl)),
    one('phoenix', 'phoenix', phoenixUrl, async () =>
      (await httpHealth(`${phoenixUrl}/readyz`)) ? text(`${phoenixUrl}/arize_phoenix_version`) : undefined,
    ),
    one('vespa', 'vespa', vespaUrl, () => vespaVersion(vespaUrl)),
    one('vespa-config', 'vespa', vespaConfigUrl, () => vespaVersion(vespaConfigUrl)),
    worker('control'),
    worker('data'),
  ]);
}

/** The services that should run and do not. */
export async function missingServices(home: string, env: NodeJS.ProcessEnv = process.env): Promise<string[]> {
  const services = await stackStatus(home, env);
  return services.filter(({ state }) => state !== 'running' && state !== 'external').map(({ name }) => name);
}

/** The emulator's version ends in `-emulator`. */
async function vespaVersion(url: string): Promise<string | undefined> {
  if (!(await httpHealth(`${url}/state/v1/health`))) return undefined;
  return text(`${url}/state/v1/version`, 'version');
}

async function text(url: string, key?: string): Promise<string | undefined> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
  const body = (await answer.text()).trim();
  if (!answer.ok) return undefined;
  if (key === undefined) return body;
  const value = (JSON.parse(body) as Record<string, unknown>)[key];
  return typeof value === 'string' ? value : undefined;
}

function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = '';
  url.search = '';
  return url.href;
}
