import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configProblems, refuseProblems } from '../../../src/domain/config/check.js';
import { type ConfigChange, diffConfig } from '../../../src/domain/config/diff.js';
import { type ConfigEdits, applyEdits } from '../../../src/domain/config/edits.js';
import type { ConfigContext } from '../../../src/domain/config/fields.js';
import {
  type ConfigKey,
  ROUTING_CONFIG,
  STRATEGIES,
  SYSTEM_CONFIG,
  configKey,
} from '../../../src/domain/config/keys.js';
import { OpsError } from '../../../src/domain/errors.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { TEMPLATES } from '../../../src/domain/templates.js';
import { initialRoutingConfig, initialSystemConfig } from '../../../src/tenants/initialConfig.js';

const acme = parseTenantId('acme_corp');
const context: ConfigContext = { tenant: acme, memoryEnabled: true, allowedPrivate: ['127.0.0.1:8080'] };
const vespa = { vespaUrl: 'http://127.0.0.1:8080', vespaConfigUrl: 'http://127.0.0.1:19071' };
const system = { ...initialSystemConfig(acme, TEMPLATES['enterprise']!, vespa) };
const routing = { ...initialRoutingConfig(TEMPLATES['enterprise']!) };

function refusal(key: ConfigKey, value: unknown): string {
  try {
    refuseProblems(configProblems(key, value, context));
  } catch (error) {
    if (error instanceof OpsError && error.type === 'InvalidInput') return error.message;
    throw error;
  }
  throw new Error(`was accepted: ${JSON.stringify(value)}`);
}
const edited = (key: ConfigKey, edits: Partial<ConfigEdits>, value: Record<string, unknown>) =>
  applyEdits(key, value, { set: {}, unset: [], ...edits });

describe('what a new tenant is given', () => {
  it.each(Object.entries(TEMPLATES))('obeys the rules, from template %s', (_, values) => {
    const mine = { ...context, memoryEnabled: values.memory_enabled };
    expect(configProblems(SYSTEM_CONFIG, initialSystemConfig(acme, values, vespa), mine)).toEqual([]);
    expect(configProblems(ROUTING_CONFIG, initialRoutingConfig(values), mine)).toEqual([]);
  });

  it('has the port of the config server, also when it is the scheme’s own', () => {
    expect(system.vespa_config_port).toBe(19071);
    const at = (vespaConfigUrl: string) =>
      initialSystemConfig(acme, TEMPLATES['trial']!, { ...vespa, vespaConfigUrl }).vespa_config_port;
    expect([at('http://config'), at('https://config')]).toEqual([80, 443]);
  });
});

describe('system configuration', () => {
  it.each([
    ['llm_model', 'two words', 'llm_model is 1 to 200 printable characters without spaces, not "two words"'],
    ['llm_model', 4, 'llm_model is 1 to 200 printable characters without spaces, not 4'],
    [
      'llm_base_url',
      'http://169.254.169.254/latest',
      'llm_base_url is refused: "169.254.169.254" is a metadata address',
    ],
    ['llm_base_url', 'http://127.0.0.1:11434', 'llm_base_url is refused: "127.0.0.1" is a loopback address'],
    ['llm_base_url', 'https://x.example/?api_key=1', 'llm_base_url is refused: it has a query'],
    ['llm_base_url', null, 'llm_base_url is a URL, not null'],
    ['vespa_url', 'http://127.0.0.1:8081', 'vespa_url is refused: "127.0.0.1" is a loopback address'],
    ['vespa_config_port', 0, 'vespa_config_port is a whole number from 1 to 65535, not 0'],
    ['vespa_config_port', 65_536, 'vespa_config_port is a whole number from 1 to 65535, not 65536'],
    ['vespa_config_port', '19071', 'vespa_config_port is a whole number from 1 to 65535, not "19071"'],
    [
      'phoenix_project_name',
      'globex_inc_project',
      'phoenix_project_name stays "acme_corp_project": traces of a tenant go to its own project',
    ],
    ['phoenix_enabled', 'true', 'phoenix_enabled is true or false, not "true"'],
    ['max_qps', 1.5, 'max_qps is a whole number of requests a second from 1 to 100000, not 1.5'],
    ['max_qps', [1], 'max_qps is a whole number of requests a second from 1 to 100000, not [1]'],
    ['cache_ttl', {}, 'cache_ttl is a whole number of seconds from 1 to 31536000, not an object'],
    [
      'memory_enabled',
      false,
      'memory_enabled stays true: the memory schema is decided when the tenant is created',
    ],
    ['optimization_enabled', 1, 'optimization_enabled is true or false, not 1'],
    ['max_qsp', 1, 'max_qsp is no field'],
    ['constructor', 1, 'constructor is no field'],
  ])('refuses %s = %j by name', (field, value, message) => {
    expect(refusal(SYSTEM_CONFIG, { ...system, [field]: value })).toBe(message);
  });

  it('names every problem at once, and __proto__ as any other field', () => {
    const value = JSON.parse(
      JSON.stringify({ ...system, max_qps: 0 }).replace('"cache_ttl"', '"__proto__"'),
    ) as object;
    expect(refusal(SYSTEM_CONFIG, value)).toBe(
      '__proto__ is no field; max_qps is a whole number of requests a second from 1 to 100000, not 0; cache_ttl is missing',
    );
  });

  it.each([[null], [[]], ['text'], [3]])('refuses %j instead of an object', (value) => {
    expect(refusal(SYSTEM_CONFIG, value)).toBe('system/system/system_config is a JSON object of fields');
  });

  it.each(['env:OPENAI_KEY', 'file:/run/secrets/openai'])('takes the secret reference %s', (llm_api_key) => {
    expect(configProblems(SYSTEM_CONFIG, { ...system, llm_api_key }, context)).toEqual([]);
  });

  it.each([
    'sk-proj-4f9a8b7c6d5e',
    'env:',
    'env:1X',
    'env:sk-proj-4f9a8b7c6d5e',
    'env:A B',
    'file:relative',
    'file:/a\0b',
    'ENV:KEY',
    '***',
    '',
    12345678,
    ['env:KEY'],
  ])('refuses %j as a secret, and does not repeat it', (llm_api_key) => {
    expect(refusal(SYSTEM_CONFIG, { ...system, llm_api_key })).toBe(
      'llm_api_key is a reference env:NAME or file:/PATH, never the secret itself',
    );
  });

  it('does not repeat the credentials of a URL', () => {
    expect(refusal(SYSTEM_CONFIG, { ...system, vespa_url: 'http://me:hunter2@vespa.example' })).toBe(
      'vespa_url is refused: it holds credentials',
    );
  });
});

describe('routing configuration', () => {
  it.each([
    [{ routing_mode: 'fastest' }, 'routing_mode is one of ensemble, tiered, not "fastest"'],
    [
      { strategies: [] },
      'strategies is a list of some of gliner, llm, langextract, each once, not an empty list',
    ],
    [
      { strategies: ['llm', 'llm'] },
      'strategies is a list of some of gliner, llm, langextract, each once, not ["llm", "llm"]',
    ],
    [
      { strategies: ['bert'] },
      'strategies is a list of some of gliner, llm, langextract, each once, not ["bert"]',
    ],
    [{ strategies: 'llm' }, 'strategies is a list of some of gliner, llm, langextract, each once, not "llm"'],
    [
      { confidence_thresholds: { gliner: 1.01, llm: -0.1, langextract: '0.5' } },
      'confidence_thresholds.gliner is a number from 0 to 1, not 1.01; ' +
        'confidence_thresholds.llm is a number from 0 to 1, not -0.1; ' +
        'confidence_thresholds.langextract is a number from 0 to 1, not "0.5"',
    ],
    [
      { confidence_thresholds: { ...routing.confidence_thresholds, bert: 0.5 } },
      'confidence_thresholds.bert is for none of gliner, llm, langextract',
    ],
    [
      { confidence_thresholds: { gliner: 0.7, llm: 0.6 } },
      'confidence_thresholds.langextract is missing: langextract is in use',
    ],
    [
      { confidence_thresholds: [0.7] },
      'confidence_thresholds is an object of numbers from 0 to 1, not [0.7]',
    ],
    [
      { strategy_weights: { llm: 1, gliner: 1 } },
      'strategy_weights.langextract is missing: langextract is in use',
    ],
    [
      { strategy_weights: { llm: 0, gliner: 0, langextract: 0 } },
      'strategy_weights leaves every strategy in use without a vote',
    ],
    [{ experience_buffer_size: 0 }, 'experience_buffer_size is a whole number from 1 to 1000000, not 0'],
    [
      { experience_buffer_size: 1_000_001 },
      'experience_buffer_size is a whole number from 1 to 1000000, not 1000001',
    ],
    [{ optimization_enabled: null }, 'optimization_enabled is true or false, not null'],
    [{ gliner_model: 'x' }, 'gliner_model is no field'],
  ])('refuses %j by name', (change, message) => {
    expect(refusal(ROUTING_CONFIG, { ...routing, ...change })).toBe(message);
  });

  it('takes every non-empty choice of strategies in any order; one not in use may keep its threshold', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...STRATEGIES], { minLength: 1 }),
        fc.tuple(...STRATEGIES.map(() => fc.double({ min: 0, max: 1, noNaN: true }))),
        (strategies, shares) => {
          const confidence_thresholds = Object.fromEntries(STRATEGIES.map((name, i) => [name, shares[i]]));
          expect(
            configProblems(ROUTING_CONFIG, { ...routing, strategies, confidence_thresholds }, context),
          ).toEqual([]);
        },
      ),
    );
  });
});

describe('configKey', () => {
  it('finds the well-known ones, and names them when asked for another', () => {
    expect(configKey(ROUTING_CONFIG)).toBe(ROUTING_CONFIG);
    expect(() => configKey({ scope: 'agent', service: 'x', key: 'y' })).toThrow(
      expect.objectContaining({
        type: 'InvalidInput',
        hint: 'configurations: system/system/system_config, routing/gateway_agent/routing_config, telemetry/phoenix/trace_retention',
      }),
    );
  });
});

describe('edits', () => {
  it('give each text the type of its field, and leave the rest and the old value alone', () => {
    const before = structuredClone(routing);
    expect(
      edited(
        ROUTING_CONFIG,
        {
          set: {
            routing_mode: 'tiered',
            strategies: 'llm,gliner',
            'confidence_thresholds.llm': '0.65',
            strategy_weights: '{"llm":1,"gliner":0.5}',
            experience_buffer_size: '500',
            optimization_enabled: 'false',
          },
          unset: ['confidence_thresholds.langextract'],
        },
        routing,
      ),
    ).toEqual({
      routing_mode: 'tiered',
      strategies: ['llm', 'gliner'],
      confidence_thresholds: { gliner: 0.7, llm: 0.65 },
      strategy_weights: { llm: 1, gliner: 0.5 },
      experience_buffer_size: 500,
      optimization_enabled: false,
    });
    expect(routing).toEqual(before);
  });

  it.each([
    [{ max_qps: 'many' }, 'max_qps is a whole number of requests a second from 1 to 100000, not "many"'],
    [{ max_qps: '1e2' }, 'max_qps is a whole number of requests a second from 1 to 100000, not "1e2"'],
    [{ max_qps: '' }, 'max_qps is a whole number of requests a second from 1 to 100000, not ""'],
    [
      { memory_enabled: 'false' },
      'memory_enabled stays true: the memory schema is decided when the tenant is created',
    ],
    [{ unheard_of: '1' }, 'unheard_of is no field'],
    [{ 'llm_model.x': '1' }, 'llm_model.x is no field'],
    [{ 'max_qps.': '1' }, 'max_qps. is no field'],
    [{ 'a b': '1' }, '"a b" is no field'],
  ])('that set %j are refused by name', (set, message) => {
    expect(refusal(SYSTEM_CONFIG, edited(SYSTEM_CONFIG, { set }, system))).toBe(message);
  });

  it.each([
    [
      { 'confidence_thresholds.llm': 'high' },
      'confidence_thresholds.llm is a number from 0 to 1, not "high"',
    ],
    [
      { 'confidence_thresholds.bert': '0.5' },
      'confidence_thresholds.bert is for none of gliner, llm, langextract',
    ],
    [
      { 'confidence_thresholds.__proto__': '0.5' },
      'confidence_thresholds.__proto__ is for none of gliner, llm, langextract',
    ],
    [{ confidence_thresholds: '0.5' }, 'confidence_thresholds is an object of numbers from 0 to 1, not 0.5'],
    [
      { strategies: 'llm,' },
      'strategies is a list of some of gliner, llm, langextract, each once, not ["llm", ""]',
    ],
  ])('of the routing that set %j are refused by name', (set, message) => {
    expect(refusal(ROUTING_CONFIG, edited(ROUTING_CONFIG, { set: { ...set } }, routing))).toBe(message);
  });

  it('take optional fields out; a needed one is then missed', () => {
    expect(edited(SYSTEM_CONFIG, { unset: ['llm_api_key'] }, { ...system, llm_api_key: 'env:K' })).toEqual(
      system,
    );
    expect(edited(SYSTEM_CONFIG, { unset: ['llm_api_key'] }, system)).toEqual(system);
    expect(refusal(SYSTEM_CONFIG, edited(SYSTEM_CONFIG, { unset: ['max_qps'] }, system))).toBe(
      'max_qps is missing',
    );
    // What an older version has left can be taken out, though it is no field any more.
    expect(edited(SYSTEM_CONFIG, { unset: ['old_field'] }, { ...system, old_field: 1 })).toEqual(system);
  });

  it('refuse to unset what is not there, and to set and unset one field', () => {
    expect(() => edited(SYSTEM_CONFIG, { unset: ['nothing'] }, system)).toThrow(
      '"nothing" is not there to unset',
    );
    expect(() => edited(SYSTEM_CONFIG, { set: { max_qps: '1' }, unset: ['max_qps'] }, system)).toThrow(
      'max_qps is both set and unset',
    );
  });
});

describe('diffConfig', () => {
  it('tells added, removed and changed fields, nested ones by path', () => {
    const to = {
      ...routing,
      routing_mode: 'tiered',
      strategies: ['llm'],
      confidence_thresholds: { gliner: 0.7, llm: 0.9 },
      strategy_weights: { llm: 1 },
    };
    expect(diffConfig(routing, to)).toEqual([
      { path: 'confidence_thresholds.langextract', from: 0.5 },
      { path: 'confidence_thresholds.llm', from: 0.6, to: 0.9 },
      { path: 'routing_mode', from: 'ensemble', to: 'tiered' },
      { path: 'strategies', from: ['gliner', 'llm', 'langextract'], to: ['llm'] },
      { path: 'strategy_weights', to: { llm: 1 } },
    ]);
  });

  it('of a value and itself is empty; applied to the first value it gives the second; its mirror image undoes it', () => {
    const value = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.oneof(
        fc.integer(),
        fc.boolean(),
        fc.string(),
        fc.array(fc.integer(), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('x', 'y'), fc.integer()),
      ),
    );
    fc.assert(
      fc.property(value, value, (from, to) => {
        expect(diffConfig(from, structuredClone(from))).toEqual([]);
        const there = diffConfig(from, to);
        expect(patched(from, there)).toEqual({ ...to });
        const mirrored = there.map((change): ConfigChange => ({
          path: change.path,
          ...('to' in change ? { from: change.to } : {}),
          ...('from' in change ? { to: change.from } : {}),
        }));
        expect(diffConfig(to, from)).toEqual(mirrored);
      }),
    );
  });
});

function patched(from: Record<string, unknown>, changes: readonly ConfigChange[]): Record<string, unknown> {
  const result = structuredClone({ ...from });
  for (const change of changes) {
    const [field = '', inner] = change.path.split('.');
    const holder = inner === undefined ? result : (result[field] as Record<string, unknown>);
    if ('to' in change) holder[inner ?? field] = change.to;
    else delete holder[inner ?? field];
  }
  return result;
}
