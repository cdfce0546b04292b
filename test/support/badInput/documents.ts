import type { ConfigContext, Rule } from '../../../src/domain/config/fields.js';
import { type RoutingConfig, type SystemConfig } from '../../../src/domain/config/keys.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { phoenixProjectName } from '../../../src/domain/naming.js';

const tenant = parseTenantId('acme_corp');
export const TENANT_CONTEXT: ConfigContext = { tenant, memoryEnabled: true, allowedPrivate: [] };

export const SYSTEM_VALUE: SystemConfig = {
  ...{ llm_model: 'gpt-4', llm_base_url: 'https://llm.example.com/v1', llm_api_key: 'env:LLM_KEY' },
  ...{ vespa_url: 'https://vespa.example.com', vespa_config_port: 19_071 },
  ...{ phoenix_project_name: phoenixProjectName(tenant), phoenix_enabled: true },
  ...{ max_qps: 10, max_concurrent_videos: 2, cache_ttl: 60 },
  ...{ memory_enabled: true, optimization_enabled: false },
};

export const ROUTING_VALUE: RoutingConfig = {
  ...{
    routing_mode: 'tiered',
    strategies: ['gliner', 'llm'],
    confidence_thresholds: { gliner: 0.7, llm: 0.6 },
  },
  ...{ strategy_weights: { gliner: 1, llm: 1 }, strategy_urls: { llm: 'https://llm.example.com' } },
  ...{ strategy_tokens: { llm: 'env:LLM_KEY' }, max_routing_time_ms: 500, optimization_enabled: true },
  ...{ experience_buffer_size: 100, retrain_min_annotations: 10, retrain_min_days: 1 },
};

const NOTHING_LIKE: readonly unknown[] = [null, [], [[]], {}, { toString: 1 }, NaN];
const NO_NUMBERS: readonly unknown[] = ['', '1', -1, 1.5, 2 ** 53, Infinity, -0.5, '1e3', '0x1', true];
/** A secret itself, where a reference is wanted: what comes of it must not repeat it. */
export const PLANTED = 'sk-planted-secret';

/** Values that a field of a rule never has. */
export function badValues(rule: Rule): readonly unknown[] {
  switch (rule.kind) {
    case 'integer':
      return [...NOTHING_LIKE, ...NO_NUMBERS, rule.min - 1, rule.max + 1];
    case 'boolean':
      return [...NOTHING_LIKE, 'true', 'false', 0, 1, ''];
    case 'text':
      return [...NOTHING_LIKE, 1, true, '', ' ', 'a b', 'a\0b', 'a\nb', 'é', '\ud800', 'x'.repeat(201)];
    case 'choice':
      return [...NOTHING_LIKE, 1, '', 'Tiered', 'none', 'constructor', '__proto__', ['tiered']];
    case 'subset':
      return [null, {}, [], 'llm', ['x'], ['llm', 'llm'], ['llm', 'x'], [null], [['llm']], ['__proto__']];
    case 'shares':
      return [
        null,
        [],
        'llm',
        1,
        { llm: 2 },
        { llm: -1 },
        { llm: '1' },
        { llm: NaN },
        { x: 1 },
        { llm: null },
      ];
    case 'each':
      return [
        null,
        [],
        'llm',
        { x: 'https://example.com' },
        { llm: null },
        { llm: 'x' },
        { constructor: 'x' },
      ];
    case 'url':
      return [...NOTHING_LIKE, 1, '', 'x', 'example.com', 'https://', `https://u:${PLANTED}@example.com`];
    case 'secret':
      return [
        ...NOTHING_LIKE,
        1,
        '',
        PLANTED,
        `env:${PLANTED}`,
        'env:',
        'file:x',
        'env:A B',
        'env:1',
        'file:/a\n',
      ];
    case 'fixed':
      return [...NOTHING_LIKE, 1, '', 'default', 'cogniverse-other', 'true', 'false'];
  }
}
