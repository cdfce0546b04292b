import path from 'node:path';
import { parseArgs } from 'node:util';
import type { ApiHandler } from '../src/embedded/vespa/api.js';
import { DiskStore } from '../src/embedded/vespa/documents/diskStore.js';
import { createDocumentHandler } from '../src/embedded/vespa/documents/handler.js';
import { ApiServer } from '../src/embedded/vespa/http/server.js';
import { ConfigServer } from '../src/embedded/vespa/package/config-server.js';

/**
 * The emulator with a feed block: after `--block-after` puts, all of them are answered 507 for `--block-ms`, as Vespa does
 * when a disk fills up and space is made.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      'config-port': { type: 'string', default: '19071' },
      'data-dir': { type: 'string', default: '.cvops/vespa' },
      'block-after': { type: 'string', default: '5000' },
      'block-ms': { type: 'string', default: '2000' },
    },
  });
  const dataDir = path.resolve(values['data-dir']);
  const config = new ConfigServer({ dataDir, convergenceMs: 0 });
  let store: DiskStore | undefined;
  config.onContainerModel((model) => {
    if (store === undefined) store = new DiskStore(path.join(dataDir, 'documents'), model);
    else store.setModel(model);
  });
  await config.start();
  const documents = createDocumentHandler(() => store);
  const container = new ApiServer(
    blocking(documents, Number(values['block-after']), Number(values['block-ms'])),
  );
  const configServer = new ApiServer(config.handle);
  await container.listen(Number(values.port), '127.0.0.1');
  await configServer.listen(Number(values['config-port']), '127.0.0.1');
  process.once('SIGTERM', () => process.exit(0));
}

/** Each spell is one for each `after` puts that were stored. */
function blocking(documents: ApiHandler, after: number, ms: number): ApiHandler {
  let puts = 0;
  let blockedUntil = 0;
  return async (request) => {
    if (request.method !== 'POST') return documents(request);
    if (Date.now() >= blockedUntil && ++puts % after !== 0) return documents(request);
    if (Date.now() >= blockedUntil) blockedUntil = Date.now() + ms;
    await request.body();
    return {
      status: 507,
      headers: { 'content-type': 'application/json; charset=UTF-8' },
      body: JSON.stringify({
        pathId: request.path,
        message: 'External feed is blocked due to resource exhaustion: disk on node 0 [localhost]',
      }),
    };
  };
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
