import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseTenantId } from '../src/domain/ids.js';
import { tenantSchemaName } from '../src/domain/naming.js';
import { httpHealth } from '../src/embedded/health.js';
import { endProcess, identify, startProcess } from '../src/embedded/processes.js';
import { built } from '../src/embedded/services/built.js';
import { ConfigServer } from '../src/vespa/configServer.js';
import { generateSd } from '../src/vespa/package/sd.js';
import { INITIAL_HOSTS, initialServices } from '../src/vespa/package/services.js';
import { loadSchema } from '../src/vespa/schemaFiles.js';
import { freePort } from '../test/support/postgres.js';

export const SMALL = 'bench_small';
export const MEMORIES = tenantSchemaName('agent_memories', parseTenantId('bench'));
export const COLPALI = tenantSchemaName('video_colpali_smol500_mv_frame', parseTenantId('bench'));

const ALL = [SMALL, COLPALI, MEMORIES];

const SMALL_SD = `schema ${SMALL} {
  document ${SMALL} {
    field tenant type string { indexing: summary | attribute }
    field position type int { indexing: summary | attribute }
    field text type string { indexing: summary | index }
  }
}
`;
const START_MS = 30_000;

/** The emulator alone, in a process of its own, with all three schemas. */
export class FeedServer {
  private constructor(
    readonly url: string,
    readonly configServer: ConfigServer,
    private readonly stopProcess: () => Promise<void>,
  ) {}

  /** @param program of the emulator, or one that is called like it */
  static async start(
    folder: string,
    flags: readonly string[] = [],
    program = 'src/embedded/vespa/main.js',
  ): Promise<FeedServer> {
    const [port, configPort] = [await freePort(), await freePort()];
    const args = [
      built(program),
      '--port',
      String(port),
      '--config-port',
      String(configPort),
      '--data-dir',
      path.join(folder, `vespa-${port}`),
      ...flags,
    ];
    const child = startProcess({ file: process.execPath, args }, path.join(folder, `vespa-${port}.log`));
    const identity = identify(child.pid!)!;
    const config = `http://127.0.0.1:${configPort}`;
    const server = new FeedServer(`http://127.0.0.1:${port}`, new ConfigServer(config), () =>
      endProcess(identity, 'SIGTERM', 15_000),
    );
    try {
      await until(() => httpHealth(`${config}/state/v1/health`));
      await server.deploy(ALL);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Empties a schema: taken out of the package and put back, so that not even tombstones stay. */
  async empty(schema: string): Promise<void> {
    await this.deploy(ALL.filter((each) => each !== schema));
    await this.deploy(ALL);
  }

  async stop(): Promise<void> {
    await this.stopProcess();
  }

  private async deploy(schemas: readonly string[]): Promise<void> {
    const allowedUntil = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    const files = new Map<string, Buffer>([
      ['services.xml', Buffer.from(initialServices(schemas))],
      ['hosts.xml', Buffer.from(INITIAL_HOSTS)],
      [
        'validation-overrides.xml',
        Buffer.from(
          `<validation-overrides>\n  <allow until="${allowedUntil}">schema-removal</allow>\n</validation-overrides>\n`,
        ),
      ],
      ...schemas.map((name): [string, Buffer] => [`schemas/${name}.sd`, Buffer.from(sdOf(name))]),
    ]);
    await this.configServer.prepareAndActivate(files);
    await until(async () => (await this.configServer.convergence())?.converged === true);
  }
}

function sdOf(schema: string): string {
  if (schema === SMALL) return SMALL_SD;
  return generateSd(
    schema,
    loadSchema(schema === MEMORIES ? 'agent_memories' : 'video_colpali_smol500_mv_frame'),
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(await condition().catch(() => false))) {
    if (Date.now() > deadline) throw new Error('the Vespa emulator did not come up');
    await delay(50);
  }
}
