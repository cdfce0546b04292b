import type { TenantId } from '../domain/ids.js';
import { phoenixProjectName } from '../domain/naming.js';
import type { TemplateValues } from '../domain/templates.js';

/** The guide's `SystemConfig` of a new tenant. No secrets: an LLM's key is a reference, given later. */
export function initialSystemConfig(
  tenant: TenantId,
  values: TemplateValues,
  vespaUrl: string,
): Record<string, unknown> {
  return {
    ...values,
    llm_base_url: 'https://api.openai.com/v1',
    vespa_url: vespaUrl,
    phoenix_project_name: phoenixProjectName(tenant),
    phoenix_enabled: true,
  };
}

/** The guide's `RoutingConfigUnified`, with its thresholds. */
export function initialRoutingConfig(values: TemplateValues): Record<string, unknown> {
  return {
    routing_mode: 'ensemble',
    strategies: ['gliner', 'llm', 'langextract'],
    confidence_thresholds: { gliner: 0.7, llm: 0.6, langextract: 0.5 },
    experience_buffer_size: 10000,
    optimization_enabled: values.optimization_enabled,
  };
}
