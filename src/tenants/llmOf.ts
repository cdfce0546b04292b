import { SYSTEM_CONFIG, type SystemConfig } from '../domain/config/keys.js';
import type { Incarnation } from '../domain/ids.js';
import type { LlmEndpoint } from '../memory/facts.js';
import { getConfig } from '../registry/config.js';
import type { Queryable } from '../registry/database.js';
import { readReference } from '../secrets.js';

/**
 * The LLM of a tenant's configuration.
 *
 * @returns undefined when it has no key: the base URL and model are there in every tenant's from the beginning
 * @throws OpsError `InvalidInput` when the key's reference leads nowhere in this process
 */
export async function llmOf(db: Queryable, incarnation: Incarnation): Promise<LlmEndpoint | undefined> {
  const row = await getConfig(db, { ...SYSTEM_CONFIG, incarnation });
  const config = row?.value as unknown as SystemConfig | undefined;
  if (config?.llm_api_key === undefined) return undefined;
  const apiKey = await readReference(config.llm_api_key, "the key of the tenant's LLM");
  return { baseUrl: config.llm_base_url, model: config.llm_model, apiKey };
}
