import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { ApiHandler } from './api.js';
import { DiskStore } from './documents/diskStore.js';
import { withFaults } from './documents/faults.js';
import { createDocumentHandler } from './documents/handler.js';
import { normalizePath } from './documents/path.js';
import { PRUNE_REMOVES_AFTER } from './documents/schemaDocuments.js';
import { VISIT_FAULTS, parseVisitFaults } from './documents/visitFaults.js';
import { ApiServer } from './http/server.js';
import { ConfigServer, VERSION } from './package/config-server.js';
import { createSearchHandler } from './search/handler.js';

/** The Vespa emulator: a config server and a container with documents and search, in one process on two ports. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8080' },
      'config-port': { type: 'string', default: '19071' },
      'data-dir': { type: 'string', default: '.cvops/vespa' },
      'convergence-ms': { type: 'string', default: '200' },
      fsync: { type: 'boolean', default: false },
      'removed-db-prune-age': { type: 'string', default: String(PRUNE_REMOVES_AFTER) },
      'record-packages': { type: 'string', default: '' },
      'fault-rate': { type: 'string', default: '0' },
      'fault-statuses': { type: 'string', default: '429,500,502,503,504' },
      'fault-seed': { type: 'string', default: '1' },
      'visit-fault-rate': { type: 'string', default: '0' },
      'visit-faults': { type: 'string', default: VISIT_FAULTS.join(',') },
      'visit-fault-bytes': { type: 'string', default: '1048576' },
    },
  });
  const dataDir = path.resolve(values['data-dir']);
  mkdirSync(dataDir, { recursive: true });
  const config = new ConfigServer({
    dataDir,
    convergenceMs: Number(values['convergence-ms']),
    recordTo: values['record-packages'],
  });
  const kept = { fsync: values.fsync, pruneRemovesAfter: Number(values['removed-db-prune-age']) };
  let store: DiskStore | undefined;
  config.onContainerModel((model) => {
    if (store === undefined) store = new DiskStore(path.join(dataDir, 'documents'), model, kept);
    else store.setModel(model);
    log(`container serves generation ${model.generation}: ${model.schemas.size} schemas`);
  });
  await config.start();

  const faults = {
    rate: Number(values['fault-rate']),
    statuses: values['fault-statuses'].split(',').map(Number),
    seed: Number(values['fault-seed']),
    visits: {
      rate: Number(values['visit-fault-rate']),
      kinds: parseVisitFaults(values['visit-faults']),
      withinBytes: Number(values['visit-fault-bytes']),
    },
  };
  const documents = withFaults(
    createDocumentHandler(() => store),
    faults,
  );
  const container = new ApiServer(
    containerHandler(
      config,
      documents,
      createSearchHandler(() => store),
    ),
  );
  const configServer = new ApiServer(config.handle);
  await container.listen(Number(values.port), values.host);
  await configServer.listen(Number(values['config-port']), values.host);
  log(
    `Vespa emulator ${VERSION}: documents and search on ${values.host}:${values.port}, config server on ${values.host}:${values['config-port']}`,
  );

  const stop = () => {
    log('stopping');
    void Promise.all([container.close(), configServer.close(), config.stop()]).then(() => {
      store?.close();
      process.exit(0);
    });
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

/** Everything on the container's port. Before the first deploy the real port is closed; this one says what it waits for. */
function containerHandler(config: ConfigServer, documents: ApiHandler, search: ApiHandler): ApiHandler {
  return async (request) => {
    const { host } = request;
    const at = normalizePath(request.path);
    if (at.startsWith('/document/v1')) return documents(request);
    if (at === '/search/' || at === '/search') return search(request);
    if (at === '/' || at === '')
      return json({
        handlers: HANDLERS.map((handler) => ({
          ...handler,
          serverBindings: handler.serverBindings.map((b) => b.replace('*', host)),
        })),
      });
    if (at.startsWith('/state/v1/config'))
      return json({ config: { generation: config.containerModel?.generation ?? 0, applyOnRestart: false } });
    if (at === '/ApplicationStatus') {
      return json({
        application: {
          vespa: { version: VERSION },
          meta: { name: 'default', generation: config.containerModel?.generation ?? 0 },
        },
        handlers: HANDLERS,
      });
    }
    if (at.startsWith('/state/') || at === '/status.html') return config.handle(request);
    return {
      status: 404,
      headers: { 'content-type': 'text/html;charset=iso-8859-1' },
      body: '<html><body><h2>HTTP ERROR 404 Not Found</h2></body></html>',
    };
  };
}

/** The official command looks for the class and the binding before it visits. */
const HANDLERS = [
  {
    id: 'com.yahoo.document.restapi.resource.DocumentV1ApiHandler',
    class: 'com.yahoo.document.restapi.resource.DocumentV1ApiHandler',
    bundle: 'emulator',
    serverBindings: ['http://*/document/v1/*', 'http://*/document/v1/*/'],
  },
  {
    id: 'com.yahoo.search.handler.SearchHandler',
    class: 'com.yahoo.search.handler.SearchHandler',
    bundle: 'emulator',
    serverBindings: ['http://*/search/*'],
  },
];

function json(body: unknown) {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function log(line: string): void {
  process.stdout.write(`${new Date().toISOString()} ${line}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(
    `vespa emulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
});
