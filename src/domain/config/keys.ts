import { OpsError } from '../errors.js';
import { quoteForMessage, type TenantId } from '../ids.js';
import { phoenixProjectName } from '../naming.js';
import { DEFAULT_RETRAIN_ANNOTATIONS, DEFAULT_RETRAIN_DAYS } from '../optimization.js';
import type { Field, Problem } from './fields.js';

export const CONFIG_SCOPES = ['system', 'agent', 'routing', 'telemetry', 'schema', 'backend'] as const;
export type ConfigScope = (typeof CONFIG_SCOPES)[number];

/** Where a configuration lies within one life of a tenant. */
export interface ConfigPlace {
  readonly scope: ConfigScope;
  readonly service: string;
  readonly key: string;
}

export interface ConfigKey extends ConfigPlace {
  readonly fields: Readonly<Record<string, Field>>;
  /** Rules between fields; runs when each alone is right. */
  readonly together?: (value: Readonly<Record<string, unknown>>) => Problem[];
}

/** The guide's `SystemConfig`. */
export interface SystemConfig {
  readonly llm_model: string;
  readonly llm_base_url: string;
  /** Secret reference. */
  readonly llm_api_key?: string;
  readonly vespa_url: string;
  readonly vespa_config_port: number;
  readonly phoenix_project_name: string;
  readonly phoenix_enabled: boolean;
  /** Requests a second that the tenant may put on Vespa, of each kind (feeding, searching). */
  readonly max_qps: number;
  /** Videos in work at once, over all runs and workers; absent: {@link DEFAULT_CONCURRENT_VIDEOS}. */
  readonly max_concurrent_videos?: number;
  /** Seconds. */
  readonly cache_ttl: number;
  readonly memory_enabled: boolean;
  readonly optimization_enabled: boolean;
}

/** For tenants and templates from before there was the field. */
export const DEFAULT_CONCURRENT_VIDEOS = 8;

export const STRATEGIES = ['gliner', 'llm', 'langextract'] as const;
export type Strategy = (typeof STRATEGIES)[number];
export const ROUTING_MODES = ['ensemble', 'tiered'] as const;

/** The guide's `RoutingConfigUnified`. */
export interface RoutingConfig {
  /** `ensemble`: every strategy votes; `tiered`: the first whose confidence reaches its threshold decides. */
  readonly routing_mode: (typeof ROUTING_MODES)[number];
  /** In the order in which `tiered` asks them. */
  readonly strategies: readonly Strategy[];
  readonly confidence_thresholds: Readonly<Partial<Record<Strategy, number>>>;
  /** How much each vote of the ensemble counts; absent: all the same. */
  readonly strategy_weights?: Readonly<Partial<Record<Strategy, number>>>;
  /** Experiences kept for retraining. */
  readonly experience_buffer_size: number;
  readonly optimization_enabled: boolean;
  /** Where a strategy is asked; absent: the embedded one. See docs/routing.md. */
  readonly strategy_urls?: Readonly<Partial<Record<Strategy, string>>>;
  /** References to the bearer tokens of those. */
  readonly strategy_tokens?: Readonly<Partial<Record<Strategy, string>>>;
  /** Milliseconds a strategy may take; absent: {@link DEFAULT_ROUTING_MS}. */
  readonly max_routing_time_ms?: number;
  /** New labels that retraining waits for; absent: `DEFAULT_RETRAIN_ANNOTATIONS`. */
  readonly retrain_min_annotations?: number;
  /** Days between two retrainings; absent: `DEFAULT_RETRAIN_DAYS`. */
  readonly retrain_min_days?: number;
}

export const DEFAULT_ROUTING_MS = 1000;

const needed = (rule: Field['rule'], about: string): Field => ({ rule, required: true, about });
const optional = (rule: Field['rule'], about: string): Field => ({ rule, required: false, about });

const SYSTEM_FIELDS = {
  llm_model: needed({ kind: 'text' }, 'model that the agents ask'),
  llm_base_url: needed({ kind: 'url' }, 'endpoint of an OpenAI-compatible API'),
  llm_api_key: optional({ kind: 'secret', sentTo: 'llm_base_url' }, 'reference to its key'),
  vespa_url: needed({ kind: 'url' }, 'documents and search'),
  vespa_config_port: needed(
    { kind: 'integer', min: 1, max: 65_535 },
    'config server, on the host of vespa_url',
  ),
  phoenix_project_name: needed(
    {
      kind: 'fixed',
      value: ({ tenant }) => phoenixProjectName(tenant),
      why: 'traces of a tenant go to its own project',
    },
    'where traces go',
  ),
  phoenix_enabled: needed({ kind: 'boolean' }, 'whether traces are sent'),
  max_qps: needed({ kind: 'integer', min: 1, max: 100_000, unit: 'requests a second' }, 'rate limit'),
  max_concurrent_videos: optional(
    { kind: 'integer', min: 1, max: 1000, unit: 'videos' },
    `videos in work at once; ${DEFAULT_CONCURRENT_VIDEOS} when not given`,
  ),
  cache_ttl: needed(
    { kind: 'integer', min: 1, max: 31_536_000, unit: 'seconds' },
    'how long answers are kept',
  ),
  memory_enabled: needed(
    {
      kind: 'fixed',
      value: ({ memoryEnabled }) => memoryEnabled,
      why: 'the memory schema is decided when the tenant is created',
    },
    'whether the tenant has memory',
  ),
  optimization_enabled: needed({ kind: 'boolean' }, 'whether optimization runs'),
} as const satisfies Record<keyof SystemConfig, Field>;

export const SYSTEM_CONFIG: ConfigKey & { readonly fields: typeof SYSTEM_FIELDS } = {
  scope: 'system',
  service: 'system',
  key: 'system_config',
  fields: SYSTEM_FIELDS,
};

export const ROUTING_CONFIG: ConfigKey = {
  scope: 'routing',
  service: 'gateway_agent',
  key: 'routing_config',
  fields: {
    routing_mode: needed({ kind: 'choice', of: ROUTING_MODES }, 'how the strategies decide together'),
    strategies: needed({ kind: 'subset', of: STRATEGIES }, 'those in use; tiered asks them in this order'),
    confidence_thresholds: needed(
      { kind: 'shares', of: STRATEGIES },
      'confidence from which a strategy counts',
    ),
    strategy_weights: optional(
      { kind: 'shares', of: STRATEGIES },
      'how much each vote of the ensemble counts',
    ),
    experience_buffer_size: needed(
      { kind: 'integer', min: 1, max: 1_000_000 },
      'experiences kept for retraining',
    ),
    optimization_enabled: needed({ kind: 'boolean' }, 'whether the routing is retrained'),
    strategy_urls: optional(
      { kind: 'each', of: STRATEGIES, rule: { kind: 'url' } },
      'where a strategy is asked; the embedded one when not given',
    ),
    strategy_tokens: optional(
      { kind: 'each', of: STRATEGIES, rule: { kind: 'secret', sentTo: 'strategy_urls' } },
      'references to their bearer tokens',
    ),
    max_routing_time_ms: optional(
      { kind: 'integer', min: 10, max: 60_000, unit: 'milliseconds' },
      `what a strategy may take; ${DEFAULT_ROUTING_MS} when not given`,
    ),
    retrain_min_annotations: optional(
      { kind: 'integer', min: 1, max: 1_000_000, unit: 'annotations' },
      `new ones that retraining waits for; ${DEFAULT_RETRAIN_ANNOTATIONS} when not given`,
    ),
    retrain_min_days: optional(
      { kind: 'integer', min: 0, max: 365, unit: 'days' },
      `between two retrainings; ${DEFAULT_RETRAIN_DAYS} when not given`,
    ),
  } satisfies Record<keyof RoutingConfig, Field>,
  together: routingTogether,
};

/** How long Phoenix keeps the tenant's traces. Whichever comes first; at least one is given. */
export interface TraceRetentionConfig {
  readonly max_days?: number;
  readonly max_count?: number;
}

export const TRACE_RETENTION: ConfigKey = {
  scope: 'telemetry',
  service: 'phoenix',
  key: 'trace_retention',
  fields: {
    max_days: optional({ kind: 'integer', min: 1, max: 36_500, unit: 'days' }, 'age from which traces go'),
    max_count: optional(
      { kind: 'integer', min: 1, max: 1_000_000_000, unit: 'traces' },
      'number from which the oldest traces go',
    ),
  } satisfies Record<keyof TraceRetentionConfig, Field>,
  together: (value) =>
    Object.keys(value).length > 0
      ? []
      : [{ path: 'trace_retention', message: 'has neither max_days nor max_count' }],
};

export const CONFIG_KEYS: readonly ConfigKey[] = [SYSTEM_CONFIG, ROUTING_CONFIG, TRACE_RETENTION];

/** @throws OpsError `InvalidInput` naming the keys that can be written */
export function configKey({ scope, service, key }: ConfigPlace): ConfigKey {
  const found = CONFIG_KEYS.find((k) => k.scope === scope && k.service === service && k.key === key);
  if (found) return found;
  throw new OpsError(
    'InvalidInput',
    `no such configuration: ${quoteForMessage(placeName({ scope, service, key }))}`,
    `configurations: ${CONFIG_KEYS.map(placeName).join(', ')}`,
  );
}

/** `system/system/system_config`. */
export function placeName({ scope, service, key }: ConfigPlace): string {
  return `${scope}/${service}/${key}`;
}

/** What the fixed fields of a tenant are worth, for who creates it. */
export function fixedSystemFields(
  tenant: TenantId,
  memoryEnabled: boolean,
): Pick<SystemConfig, 'phoenix_project_name' | 'memory_enabled'> {
  return { phoenix_project_name: phoenixProjectName(tenant), memory_enabled: memoryEnabled };
}

/** A strategy that is not in use may keep its threshold; one in use must have one. */
function routingTogether(value: Readonly<Record<string, unknown>>): Problem[] {
  const routing = value as unknown as RoutingConfig;
  const lacking = (field: 'confidence_thresholds' | 'strategy_weights'): Problem[] => {
    const shares = routing[field];
    return shares === undefined
      ? []
      : routing.strategies
          .filter((strategy) => shares[strategy] === undefined)
          .map((strategy) => ({
            path: `${field}.${strategy}`,
            message: `is missing: ${strategy} is in use`,
          }));
  };
  const weights = routing.strategy_weights;
  const mute = weights !== undefined && !routing.strategies.some((strategy) => (weights[strategy] ?? 1) > 0);
  const unused = Object.keys(routing.strategy_tokens ?? {})
    .filter((strategy) => routing.strategy_urls?.[strategy as Strategy] === undefined)
    .map((strategy) => ({
      path: `strategy_tokens.${strategy}`,
      message: `is for no endpoint: strategy_urls.${strategy} is missing`,
    }));
  return [
    ...lacking('confidence_thresholds'),
    ...lacking('strategy_weights'),
    ...unused,
    ...(mute ? [{ path: 'strategy_weights', message: 'leaves every strategy in use without a vote' }] : []),
  ];
}
