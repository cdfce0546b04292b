import { describe, expect, it } from 'vitest';
import { createTenantInput } from '../../../src/contracts/tenants.js';
import { OpsError } from '../../../src/domain/errors.js';
import {
  DEFAULT_TEMPLATE,
  TEMPLATES,
  applyOverrides,
  isBuiltIn,
  parseTemplateName,
  templateProblems,
} from '../../../src/domain/templates.js';

function refusal(run: () => unknown): OpsError {
  try {
    run();
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

const enterprise = TEMPLATES['enterprise']!;
const startup = TEMPLATES['startup']!;

describe('built-in templates', () => {
  it('are those of the guide, and obey the rules of the fields they become', () => {
    expect(Object.keys(TEMPLATES).toSorted()).toEqual(['enterprise', 'startup', 'trial']);
    expect(isBuiltIn(DEFAULT_TEMPLATE)).toBe(true);
    for (const values of Object.values(TEMPLATES)) expect(templateProblems(values)).toEqual([]);
  });

  it('may lack a field that came later, as templates of operators do that are older', () => {
    const { max_concurrent_videos, ...older } = enterprise;
    expect(max_concurrent_videos).toBe(16);
    expect(templateProblems(older)).toEqual([]);
    expect(applyOverrides(older, { max_concurrent_videos: '1' })).toEqual({
      ...older,
      max_concurrent_videos: 1,
    });
    expect(refusal(() => applyOverrides(older, { max_concurrent_videos: '0' })).message).toBe(
      'max_concurrent_videos is a whole number of videos from 1 to 1000, not 0',
    );
  });

  it.each(['__proto__', 'constructor', 'toString', 'Enterprise', ''])('do not include %j', (name) => {
    expect(isBuiltIn(name)).toBe(false);
  });
});

describe('parseTemplateName', () => {
  it.each(['gold', 'gold-2', 'a', 'big_customers', 'x'.repeat(48)])('takes %s', (name) => {
    expect(parseTemplateName(name)).toBe(name);
  });

  it.each([
    '',
    'Gold',
    'gold ',
    '2gold',
    'a--b',
    'a_',
    '-a',
    'a/b',
    '__proto__',
    'x'.repeat(49),
    undefined,
    3,
  ])('refuses %j', (name) => {
    expect(refusal(() => parseTemplateName(name)).type).toBe('InvalidInput');
  });
});

describe('applyOverrides', () => {
  it('is the template when nothing is overridden, and never the template’s own object', () => {
    const values = applyOverrides(startup, {});
    expect(values).toEqual(startup);
    expect(values).not.toBe(startup);
  });

  it('reads every override as the type that its setting has, and leaves the template as it was', () => {
    const before = structuredClone(TEMPLATES);
    expect(
      applyOverrides(startup, {
        llm_model: 'claude-sonnet-4',
        max_qps: '250',
        max_concurrent_videos: '12',
        cache_ttl: '1',
        memory_enabled: 'false',
        optimization_enabled: 'true',
      }),
    ).toEqual({
      llm_model: 'claude-sonnet-4',
      max_qps: 250,
      max_concurrent_videos: 12,
      cache_ttl: 1,
      memory_enabled: false,
      optimization_enabled: true,
    });
    expect(applyOverrides(startup, { max_qps: '100000' })).toEqual({ ...startup, max_qps: 100_000 });
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
    ['max_qps', '100001'],
    ['max_qps', '9'.repeat(30)],
    ['max_qps', 'many'],
    ['cache_ttl', 'NaN'],
    ['cache_ttl', 'Infinity'],
    ['cache_ttl', '31536001'],
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
    const error = refusal(() => applyOverrides(enterprise, { [key]: text }));
    expect(error.type).toBe('InvalidInput');
    expect(error.message).toMatch(new RegExp(`^${key} is .*, not `));
  });

  it('names every problem at once', () => {
    expect(refusal(() => applyOverrides(enterprise, { max_qps: 'x', memory_enabled: 'y' })).message).toBe(
      'max_qps is a whole number of requests a second from 1 to 100000, not "x"; memory_enabled is true or false, not "y"',
    );
  });

  it.each(['tenant_id', 'vespa_url', 'MAX_QPS', 'constructor', 'toString', 'hasOwnProperty', '__proto__'])(
    'refuses the unknown setting %j, naming those there are',
    (key) => {
      // A parsed JSON object can carry `__proto__`; a literal cannot.
      const overrides = JSON.parse(`{"${key}": "true"}`) as Record<string, string>;
      expect(refusal(() => applyOverrides(enterprise, overrides))).toMatchObject({
        type: 'InvalidInput',
        message: `no such setting: ${key}`,
        hint: 'settings: llm_model, max_qps, max_concurrent_videos, cache_ttl, memory_enabled, optimization_enabled',
      });
    },
  );
});

describe('the input of createTenant', () => {
  const input = (values: unknown) => ({
    tenant: 'acme',
    incarnation: '11111111-1111-4111-8111-111111111111',
    operation: '22222222-2222-4222-8222-222222222222',
    template: 'gold',
    values,
    profiles: ['video_colpali_smol500_mv_frame'],
    cluster: 'default',
    principal: 'ann',
    reason: '',
  });

  it('carries the resolved values', () => {
    expect(createTenantInput.parse(input(startup))).toEqual(input(startup));
  });

  it.each([
    [{ ...startup, max_qps: 0 }, 'values.max_qps'],
    [{ ...startup, max_qps: '10' }, 'values.max_qps'],
    [{ ...startup, extra: 1 }, 'values.extra'],
    [{ llm_model: 'x' }, 'values.memory_enabled'],
    [undefined, 'values.values'],
    [[], 'values.values'],
  ])('refuses %j by name', (values, path) => {
    const parsed = createTenantInput.safeParse(input(values));
    expect(parsed.error?.issues.map((issue) => issue.path.join('.'))).toContain(path);
  });
});
