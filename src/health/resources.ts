import type { Client } from '@temporalio/client';
import type { ReferenceRules } from '../domain/config/references.js';
import type { PhoenixClient } from '../phoenix/client.js';
import type { Pool } from '../registry/database.js';
import type { ConfigServer } from '../vespa/configServer.js';
import type { DocumentClient } from '../vespa/documents.js';

/** What the checks look at. */
export interface HealthResources {
  readonly pool: Pool;
  /** Rejects while Temporal does not answer. */
  readonly temporal: () => Promise<Client>;
  readonly phoenix: PhoenixClient;
  readonly documents: Pick<DocumentClient, 'get'>;
  readonly configServer: ConfigServer;
  readonly vespaUrl: string;
  /** As the URL guard's: what configuration may name. */
  readonly allowedPrivate: readonly string[];
  /** Which secrets it may refer to. */
  readonly rules: ReferenceRules;
}
