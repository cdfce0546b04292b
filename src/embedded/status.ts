import { existsSync } from 'node:fs';
import { type StackAddresses, loadSettings, stackFile } from '../settings.js';
import { httpHealth, portOpen } from './health.js';
import { postgresVersion } from './postgres.js';
import { isRunning } from './processes.js';
import { readRecords } from './records.js';

export interface ServiceStatus {
  readonly name: string;
  readonly state: 'running' | 'unhealthy' | 'stopped' | 'external';
  /** A URL, without secrets. */
  readonly address: string;
  readonly version: string;
}

/** What a person or a script may ask of the stack, whoever started it. */
export async function stackStatus(home: string): Promise<ServiceStatus[]> {
  const settings = loadSettings({ ...process.env, CVOPS_HOME: home });
  const records = readRecords(home);
  const stackUp = existsSync(stackFile(home));
  const one = async (
    name: string,
    recorded: string,
    address: string,
    probe: () => Promise<string | undefined>,
  ): Promise<ServiceStatus> => {
    const record = records[recorded];
    const alive = record !== undefined && isRunning(record.identity);
    const version = await probe().catch(() => undefined);
    const external = !stackUp || record === undefined;
    const state =
      version === undefined
        ? alive
          ? 'unhealthy'
          : 'stopped'
        : external
          ? 'external'
          : alive
            ? 'running'
            : 'stopped';
    return { name, state, address, version: version ?? '' };
  };
  const worker = (name: string) =>
    one(name, name, `temporal://${settings.temporalAddress}/${name.replace('worker-', '')}`, async () => {
      const record = records[name];
      return record !== undefined && isRunning(record.identity) ? process.version : undefined;
    });
  return Promise.all([
    one('temporal', 'temporal', `temporal://${settings.temporalAddress}`, async () => {
      const [host, port] = settings.temporalAddress.split(':');
      if (!(await portOpen(Number(port), host))) return undefined;
      return text(`${settings.temporalUiUrl}/api/v1/cluster-info`, 'serverVersion').then(
        (version) => version ?? 'unknown',
      );
    }),
    one('temporal-ui', 'temporal', settings.temporalUiUrl, () =>
      text(`${settings.temporalUiUrl}/api/v1/settings`, 'Version'),
    ),
    one('postgres', 'postgres', withoutPassword(settings.databaseUrl), () =>
      postgresVersion(settings.databaseUrl),
    ),
    one('phoenix', 'phoenix', settings.phoenixUrl, () =>
      text(`${settings.phoenixUrl}/arize_phoenix_version`),
    ),
    one('vespa', 'vespa', settings.vespaUrl, () => vespaVersion(settings.vespaUrl)),
    one('vespa-config', 'vespa', settings.vespaConfigUrl, () => vespaVersion(settings.vespaConfigUrl)),
    worker('worker-control'),
    worker('worker-data'),
  ]);
}

async function vespaVersion(url: string): Promise<string | undefined> {
  if (!(await httpHealth(`${url}/state/v1/health`))) return undefined;
  return text(`${url}/state/v1/version`, 'version');
}

async function text(url: string, key?: string): Promise<string | undefined> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
  if (!answer.ok) return undefined;
  const body = (await answer.text()).trim();
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

export type { StackAddresses };
