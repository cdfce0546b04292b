import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configProblems } from '../../../src/domain/config/check.js';
import { ROUTING_CONFIG, SYSTEM_CONFIG, TRACE_RETENTION } from '../../../src/domain/config/keys.js';
import { checkUrl } from '../../../src/domain/urlGuard.js';
import { FOREIGN, expectRefused, share } from '../../support/badInput/texts.js';
import {
  PLANTED,
  ROUTING_VALUE,
  SYSTEM_VALUE,
  TENANT_CONTEXT,
  badValues,
} from '../../support/badInput/documents.js';
import { confusingUrls, forbiddenUrls } from '../../support/badInput/urls.js';

/** Whatever may be allowed, is: these are refused for good. */
const EVERYTHING = { allowedPrivate: ['0.0.0.0/0', '::/0', 'metadata.google.internal', 'instance-data'] };

describe('a URL', () => {
  it('of a public host is taken', () => {
    expect(checkUrl('https://example.com/v1', EVERYTHING).href).toBe('https://example.com/v1');
  });

  it('of a link-local or metadata address is refused in every notation, whatever an operator allows', () => {
    fc.assert(
      fc.property(forbiddenUrls, (url) => expectRefused(() => checkUrl(url, EVERYTHING), url)),
      share(8),
    );
  });

  it('that two programs could read as two is refused', () => {
    fc.assert(
      fc.property(confusingUrls, (url) => expectRefused(() => checkUrl(url, EVERYTHING), url)),
      share(5),
    );
  });

  it('of those is refused in a configuration too, and by name', () => {
    const context = { ...TENANT_CONTEXT, ...EVERYTHING };
    expect(configProblems(SYSTEM_CONFIG, SYSTEM_VALUE, context)).toEqual([]);
    fc.assert(
      fc.property(forbiddenUrls, fc.constantFrom('llm_base_url', 'vespa_url'), (url, field) => {
        const problems = configProblems(SYSTEM_CONFIG, { ...SYSTEM_VALUE, [field]: url }, context);
        expect(problems.map(({ path }) => path)).toEqual([field]);
      }),
      share(4),
    );
  });
});

const DOCUMENTS = [
  { key: SYSTEM_CONFIG, value: SYSTEM_VALUE },
  { key: ROUTING_CONFIG, value: ROUTING_VALUE },
  { key: TRACE_RETENTION, value: { max_days: 30, max_count: 1000 } },
].map(({ key, value }) => ({ key, value: value as Readonly<Record<string, unknown>> }));

/** A good document with one fault; which it is can be said without asking who decides. */
const faulty = fc.constantFrom(...DOCUMENTS).chain(({ key, value }) => {
  const names = Object.keys(key.fields);
  const required = names.filter((name) => key.fields[name]!.required);
  const wrong = fc
    .constantFrom(...names)
    .chain((name) =>
      fc.constantFrom(...badValues(key.fields[name]!.rule)).map((bad) => ({ ...value, [name]: bad })),
    );
  const unknown = fc
    .constantFrom('__proto__', 'constructor', 'max_Qps', 'tenant', 'tenant_id', ...FOREIGN)
    // As JSON makes it: a name such as `__proto__` is one of its own.
    .map((name) => Object.fromEntries([...Object.entries(value), [name, 1]]));
  const missing = fc
    .constantFrom(...(required.length > 0 ? required : names))
    .map((name) =>
      Object.fromEntries(Object.entries(value).filter(([each]) => each !== name && required.length > 0)),
    );
  const none = fc.constantFrom<unknown>(null, undefined, [], [value], 'x', 1, true, JSON.stringify(value));
  return fc
    .oneof({ weight: 6, arbitrary: wrong }, { weight: 2, arbitrary: unknown }, missing, none)
    .map((document) => ({ key, document }));
});

describe('a configuration', () => {
  it('is taken where nothing is wrong with it', () => {
    for (const { key, value } of DOCUMENTS) expect(configProblems(key, value, TENANT_CONTEXT)).toEqual([]);
  });

  it('with any one fault is refused, by the field’s name and without what might be a secret', () => {
    fc.assert(
      fc.property(faulty, ({ key, document }) => {
        const problems = configProblems(key, document, TENANT_CONTEXT);
        expect(problems.length).toBeGreaterThan(0);
        expect(JSON.stringify(problems)).not.toContain(PLANTED);
      }),
      share(10),
    );
  });
});
