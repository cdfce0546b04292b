import type { Client } from '@temporalio/client';
import type { PhoenixClient } from '../phoenix/client.js';
import type { Pool } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
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
  /** Absent: there are no quotas to look at, and no report says that there are. */
  readonly quotaUse?: QuotaUse | undefined;
}

export interface QuotaUsed {
  readonly resource: string;
  readonly used: number;
  readonly max: number;
}

/** The port of the quotas: how much of each a life has used. */
export type QuotaUse = (life: TenantLife) => Promise<readonly QuotaUsed[]>;
