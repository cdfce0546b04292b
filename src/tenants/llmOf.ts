import type { ReferenceRules } from '../domain/config/references.js';
import { SYSTEM_CONFIG, type SystemConfig } from '../domain/config/keys.js';
import type { LlmEndpoint } from '../memory/facts.js';
import { type ConfigVersion, getConfig } from '../registry/config.js';
import type { Queryable } from '../registry/database.js';
import type { TenantLife } from '../registry/tenants.js';
import { readTenantSecret } from './references.js';

/**
 * The LLM of a tenant's configuration.
 *
 * @returns undefined when it has no key: the base URL and model are there in every tenant's from the beginning
 * @throws OpsError `InvalidInput` when the key's reference leads nowhere in this process, `PermissionDenied` when it is none
 *   that the tenant may have
 */
export async function llmOf(
  db: Queryable,
  { tenant, incarnation }: TenantLife,
  rules: ReferenceRules,
): Promise<LlmEndpoint | undefined> {
  const row = await getConfig(db, { ...SYSTEM_CONFIG, incarnation });
  return row === undefined ? undefined : llmIn(row, tenant, rules);
}

/** The same of a version that was read. */
export async function llmIn(
  config: Pick<ConfigVersion, 'value' | 'vouched'>,
  tenant: TenantLife['tenant'],
  rules: ReferenceRules,
): Promise<LlmEndpoint | undefined> {
  const apiKey = await readTenantSecret(rules, tenant, {
    ...{ key: SYSTEM_CONFIG, config, path: 'llm_api_key', what: "the key of the tenant's LLM" },
  });
  if (apiKey === undefined) return undefined;
  const { llm_base_url: baseUrl, llm_model: model } = config.value as unknown as SystemConfig;
  return { baseUrl, model, apiKey };
}
