import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { DEFAULT_TEMPLATE, TEMPLATES, applyTemplate, parseTemplate } from '../../../src/domain/templates.js';

function refusal(run: () => unknown): OpsError {
  try {
    run();
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('parseTemplate', () => {
  it('knows the templates of the guide', () => {
    expect(Object.keys(TEMPLATES).toSorted()).toEqual(['enterprise', 'startup', 'trial']);
    for (const name of [...Object.keys(TEMPLATES), DEFAULT_TEMPLATE]) expect(parseTemplate(name)).toBe(name);
  });

  it.each(['', 'Enterprise', 'gold', '__proto__', 'constructor', 'toString', undefined, 3])(
    'refuses %j, naming the templates',
    (name) => {
      expect(refusal(() => parseTemplate(name))).toMatchObject({
        type: 'InvalidInput',
        hint: 'templates: enterprise, startup, trial',
      });
    },
  );
});

describe('applyTemplate', () => {
  it('is the template when nothing is overridden, and never the template’s own object', () => {
    const values = applyTemplate('trial', {});
    expect(values).toEqual(TEMPLATES['trial']);
    expect(values).not.toBe(TEMPLATES['trial']);
  });

  it('reads every override as the type that the template gives its key, and leaves the template as it was', () => {
    const before = structuredClone(TEMPLATES);
    expect(
      applyTemplate('startup', {
        llm_model: 'claude-sonnet-4',
        max_qps: '250',
        cache_ttl: '1',
        memory_enabled: 'false',
        optimization_enabled: 'true',
      }),
    ).toEqual({
      llm_model: 'claude-sonnet-4',
      max_qps: 250,
      cache_ttl: 1,
      memory_enabled: false,
      optimization_enabled: true,
    });
    expect(applyTemplate('startup', { max_qps: '999999999' })).toEqual({
      ...before['startup'],
      max_qps: 999_999_999,
    });
    expect(TEMPLATES).toEqual(before);
  });

  it.each([
    ['max_qps', ''],
    ['max_qps', '0'],
    ['max_qps', '-5'],
    ['max_qps', '1.5'],
    ['max_qps', '1e3'],
    ['max_qps', '0x10'],
    ['max_qps', ' 7'],
    ['max_qps', '٧'],
    ['max_qps', '1000000000'],
    ['max_qps', 'many'],
    ['cache_ttl', 'NaN'],
    ['cache_ttl', 'Infinity'],
    ['memory_enabled', ''],
    ['memory_enabled', 'yes'],
    ['memory_enabled', '1'],
    ['memory_enabled', 'True'],
    ['optimization_enabled', 'true\n'],
    ['llm_model', ''],
    ['llm_model', 'two words'],
    ['llm_model', 'gpt-4\0'],
    ['llm_model', 'gpt-４'],
    ['llm_model', 'x'.repeat(201)],
  ])('refuses %s=%j by the setting’s name', (key, text) => {
    const error = refusal(() => applyTemplate('enterprise', { [key]: text }));
    expect(error.type).toBe('InvalidInput');
    expect(error.message).toMatch(new RegExp(`^${key} is .*, not "`));
  });

  it.each(['tenant_id', 'MAX_QPS', '', 'constructor', 'toString', 'hasOwnProperty'])(
    'refuses the unknown setting %j, naming those there are',
    (key) => {
      expect(refusal(() => applyTemplate('enterprise', { [key]: 'true' }))).toMatchObject({
        type: 'InvalidInput',
        message: `no such setting: ${JSON.stringify(key)}`,
        hint: 'settings: llm_model, max_qps, cache_ttl, memory_enabled, optimization_enabled',
      });
    },
  );

  it('refuses __proto__ as a setting: a parsed JSON object can carry it', () => {
    const overrides = JSON.parse('{"__proto__": "true"}') as Record<string, string>;
    expect(refusal(() => applyTemplate('enterprise', overrides)).message).toBe(
      'no such setting: "__proto__"',
    );
  });
});
