import {
  type RoutingConfig,
  STRATEGIES,
  type SystemConfig,
  type TraceRetentionConfig,
  fixedSystemFields,
} from '../domain/config/keys.js';
import type { TenantId } from '../domain/ids.js';
import type { TemplateValues } from '../domain/templates.js';

export interface VespaAddresses {
  readonly vespaUrl: string;
  readonly vespaConfigUrl: string;
}

/** The guide's `SystemConfig` of a new tenant. No secrets: an LLM's key is a reference, given later. */
export function initialSystemConfig(
  tenant: TenantId,
  values: TemplateValues,
  { vespaUrl, vespaConfigUrl }: VespaAddresses,
): SystemConfig {
  const { port, protocol } = new URL(vespaConfigUrl);
  return {
    ...values,
    llm_base_url: 'https://api.openai.com/v1',
    vespa_url: vespaUrl,
    vespa_config_port: Number(port || (protocol === 'https:' ? 443 : 80)),
    phoenix_enabled: true,
    ...fixedSystemFields(tenant, values.memory_enabled),
  };
}

/** The guide's `RoutingConfigUnified`, with its thresholds. */
export function initialRoutingConfig(values: TemplateValues): RoutingConfig {
  return {
    routing_mode: 'ensemble',
    strategies: STRATEGIES,
    confidence_thresholds: { gliner: 0.7, llm: 0.6, langextract: 0.5 },
    experience_buffer_size: 10000,
    optimization_enabled: values.optimization_enabled,
  };
}

/** Generous: a restored backup's traces are swept by the same rule. */
export function initialTraceRetention(): TraceRetentionConfig {
  return { max_days: 365 };
}
