import { readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ApiServer } from '../../src/embedded/vespa/http/server.js';
import { ConfigServer as EmulatedConfigServer } from '../../src/embedded/vespa/package/config-server.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { freePort } from './postgres.js';

export type Package = ReadonlyMap<string, Buffer>;

/** The emulator's config server on a port of its own, with nothing deployed; it keeps every package that became active. */
export class RecordedConfigServer {
  /** In the order of their activation. */
  readonly packages: Package[] = [];

  private constructor(
    readonly url: string,
    private readonly folder: string,
    private readonly emulated: EmulatedConfigServer,
    private readonly http: ApiServer,
  ) {
    // Told of each activation at once: nothing converges later.
    emulated.onContainerModel(({ generation }) => this.packages.push(this.packageOf(generation)));
  }

  static async start(): Promise<RecordedConfigServer> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-config-'));
    const emulated = new EmulatedConfigServer({ dataDir: folder, convergenceMs: 0 });
    await emulated.start();
    const http = new ApiServer(emulated.handle);
    const port = await freePort();
    await http.listen(port, '127.0.0.1');
    return new RecordedConfigServer(`http://127.0.0.1:${port}`, folder, emulated, http);
  }

  get active(): Package {
    return this.packages.at(-1) ?? new Map();
  }

  client(): ConfigServer {
    return new ConfigServer(this.url);
  }

  async close(): Promise<void> {
    await this.http.close();
    await this.emulated.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  private packageOf(generation: number): Package {
    const root = path.join(this.folder, 'config', 'sessions', String(generation), 'content');
    const names = (readdirSync(root, { recursive: true }) as string[])
      .filter((name) => statSync(path.join(root, name)).isFile())
      .toSorted();
    return new Map(names.map((name) => [name, readFileSync(path.join(root, name))]));
  }
}
