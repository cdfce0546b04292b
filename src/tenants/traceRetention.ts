import { TRACE_RETENTION, type TraceRetentionConfig } from '../domain/config/keys.js';
import type { PhoenixClient } from '../phoenix/client.js';
import { ensureRetentionPolicy } from '../phoenix/retention.js';
import { getConfig } from '../registry/config.js';
import type { Queryable } from '../registry/database.js';
import type { TenantRow } from '../registry/tenants.js';
import { initialTraceRetention } from './initialConfig.js';

/**
 * Makes Phoenix keep a tenant's traces as long as its configuration says; a tenant from before there was this
 * configuration has the one of a new tenant. The configuration is read again at the end: of two who write at once, the
 * last one's holds.
 *
 * @throws PhoenixError
 */
export async function applyTraceRetention(
  db: Queryable,
  phoenix: PhoenixClient,
  { incarnation, phoenixProject }: Pick<TenantRow, 'incarnation' | 'phoenixProject'>,
): Promise<void> {
  const read = () => getConfig(db, { ...TRACE_RETENTION, incarnation });
  for (let config = await read(); ;) {
    const value = (config?.value ?? initialTraceRetention()) as TraceRetentionConfig;
    const { max_days: maxDays, max_count: maxCount } = value;
    await ensureRetentionPolicy(phoenix, phoenixProject, {
      ...(maxDays === undefined ? {} : { maxDays }),
      ...(maxCount === undefined ? {} : { maxCount }),
    });
    const now = await read();
    if (now?.version === config?.version) return;
    config = now;
  }
}
