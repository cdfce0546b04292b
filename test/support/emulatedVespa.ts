import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { DiskStore } from '../../src/embedded/vespa/documents/diskStore.js';
import { createDocumentHandler } from '../../src/embedded/vespa/documents/handler.js';
import { ApiServer } from '../../src/embedded/vespa/http/server.js';
import { ConfigServer as EmulatedConfigServer } from '../../src/embedded/vespa/package/config-server.js';
import { createSearchHandler } from '../../src/embedded/vespa/search/handler.js';
import { ConfigServer } from '../../src/vespa/configServer.js';
import { DocumentClient } from '../../src/vespa/documents.js';
import { INITIAL_HOSTS, initialServices } from '../../src/vespa/package/services.js';
import { freePort } from './postgres.js';
import type { Package } from './recordedConfigServer.js';

/** @param schemas texts by name */
export function packageOf(schemas: Readonly<Record<string, string>>): Package {
  const names = Object.keys(schemas);
  return new Map([
    ['services.xml', Buffer.from(initialServices(names))],
    ['hosts.xml', Buffer.from(INITIAL_HOSTS)],
    ...names.map((name): [string, Buffer] => [`schemas/${name}.sd`, Buffer.from(schemas[name]!)]),
  ]);
}

/** The emulator in the test's own process, with some schemas deployed. */
export class EmulatedVespa {
  private constructor(
    /** Of its container. */
    readonly url: string,
    readonly documents: DocumentClient,
    readonly configServer: ConfigServer,
    readonly stop: () => Promise<void>,
  ) {}

  /** @param schemas texts by name */
  static async start(schemas: Readonly<Record<string, string>>): Promise<EmulatedVespa> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'cvops-vespa-'));
    const emulated = new EmulatedConfigServer({ dataDir: folder, convergenceMs: 0 });
    let store: DiskStore | undefined;
    emulated.onContainerModel((model) => {
      if (store === undefined) store = new DiskStore(path.join(folder, 'documents'), model);
      else store.setModel(model);
    });
    await emulated.start();
    const [handleDocuments, handleSearch] = [
      createDocumentHandler(() => store),
      createSearchHandler(() => store),
    ];
    const container = new ApiServer((request) =>
      request.path.startsWith('/document/v1') ? handleDocuments(request) : handleSearch(request),
    );
    const config = new ApiServer(emulated.handle);
    const [port, configPort] = [await freePort(), await freePort()];
    await container.listen(port, '127.0.0.1');
    await config.listen(configPort, '127.0.0.1');
    const url = `http://127.0.0.1:${port}`;
    const documents = new DocumentClient(url);
    const configServer = new ConfigServer(`http://127.0.0.1:${configPort}`);
    await configServer.prepareAndActivate(packageOf(schemas));
    return new EmulatedVespa(url, documents, configServer, async () => {
      await documents.close();
      await container.close();
      await config.close();
      await emulated.stop();
      store?.close();
      await rm(folder, { recursive: true, force: true });
    });
  }
}
