import { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type pino from 'pino';
import { createApplicationActivities } from '../activities/application.js';
import { typedFailures } from '../activities/failures.js';
import { createLedgerActivities, createVideoActivities } from '../activities/ingest.js';
import { createTenantActivities } from '../activities/tenants.js';
import { type Encoder, createEncoder } from '../src/encoders/port.js';
import { PhoenixClient } from '../src/phoenix/client.js';
import { type Pool, openPool } from '../src/registry/database.js';
import type { Settings } from '../src/settings.js';
import { DocumentClient } from '../src/vespa/documents.js';

/** What a worker process opens once and closes at its end. */
export interface Resources {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly client: Client;
  readonly phoenix: PhoenixClient;
  readonly documents: DocumentClient;
  /** Opened at its first use: a `control` worker never encodes. */
  encoder(): Encoder;
  close(): Promise<void>;
}

export async function openResources(
  settings: Settings,
  connection: NativeConnection,
  logger: pino.Logger,
): Promise<Resources> {
  const pool = openPool(settings.databaseUrl, { name: 'cvops-worker', max: 20 });
  // Said now, at start, and not by the first operation.
  await pool.query('select 1 from tenants limit 1');
  const documents = new DocumentClient(settings.vespaUrl, { connections: 32 });
  let encoder: Encoder | undefined;
  return {
    settings,
    pool,
    client: new Client({ connection, namespace: settings.temporalNamespace }),
    phoenix: new PhoenixClient(settings.phoenixUrl),
    documents,
    encoder() {
      if (encoder === undefined) {
        encoder = createEncoder({
          url: settings.encoderUrl,
          model: settings.encoderModel,
          tokenRef: settings.encoderToken,
        });
        logger.info({ encoder: encoder.id }, 'encoder opened');
      }
      return encoder;
    },
    async close() {
      await encoder?.close();
      await documents.close();
      await pool.end();
    },
  };
}

export function controlActivities(resources: Resources) {
  const { pool, client, phoenix, documents, settings } = resources;
  const { vespaUrl, vespaConfigUrl } = settings;
  return {
    ...typedFailures({ ...createTenantActivities({ pool, phoenix, documents, vespaUrl, vespaConfigUrl }) }),
    ...typedFailures({ ...createApplicationActivities({ pool, client, vespaUrl, vespaConfigUrl }) }),
    ...typedFailures({ ...createLedgerActivities({ pool }) }),
  };
}

export function dataActivities(resources: Resources) {
  const { pool, documents } = resources;
  return typedFailures({ ...createVideoActivities({ pool, documents, encoder: resources.encoder() }) });
}
