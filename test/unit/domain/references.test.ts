import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROUTING_CONFIG, STRATEGIES, SYSTEM_CONFIG } from '../../../src/domain/config/keys.js';
import {
  type ReferenceWriter,
  type Vouched,
  sentReferences,
  vouchedAfter,
} from '../../../src/domain/config/references.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { parseSecretPlaces } from '../../../src/domain/secretPlaces.js';

const tenant = parseTenantId('acme');
const own = { variables: [], files: ['/run/secrets/system'] };
const operator: ReferenceWriter = {
  vouches: false,
  places: parseSecretPlaces(['file:/etc/tenants/{tenant}/', 'env:TENANT_{tenant}__']),
  own,
};
const admin: ReferenceWriter = { ...operator, vouches: true };
const MINE = 'env:TENANT_acme__LLM';

type Value = Record<string, unknown>;
const before = (value: Value, vouched: string[] = []): Vouched => ({ value, vouched });
const system = (reference?: string, to = 'https://a.example') => ({
  llm_base_url: to,
  ...(reference === undefined ? {} : { llm_api_key: reference }),
});
const written = (from: Vouched, to: Value, writer?: ReferenceWriter, names = (_: string) => false) =>
  vouchedAfter(SYSTEM_CONFIG, [from, to], { tenant, writer, names });
const denied = expect.objectContaining({ type: 'PermissionDenied', hint: expect.any(String) });
const refused = expect.objectContaining({ type: 'InvalidInput' });

describe('a principal of one tenant', () => {
  const shared = before(system('env:SHARED'), ['llm_api_key']);
  it.each([
    ['sets any variable', before(system()), system('env:SHARED')],
    ['sets any file', before(system()), system('file:/etc/passwd')],
    ['sets another tenant’s', before(system()), system('env:TENANT_acme_b__LLM')],
    ['sends a shared one elsewhere', shared, system('env:SHARED', 'https://evil.example')],
    ['exchanges a shared one', shared, system('env:OTHER')],
    ['sets again what was taken out', before(system(), ['llm_api_key']), system('env:SHARED')],
  ])('never %s', (_, from, to) => {
    expect(() => written(from, to, operator)).toThrow(denied);
    // Nor does a write of the product's own, which says nothing of references.
    expect(() => written(from, to)).toThrow(denied);
  });

  it('may refer to nothing where no place is set, and is told of the setting', () => {
    const none = { ...operator, places: [] };
    expect(() => written(before(system()), system(MINE), none)).toThrow(
      expect.objectContaining({
        type: 'PermissionDenied',
        hint: expect.stringContaining('CVOPS_SECRET_PLACES'),
      }),
    );
  });

  it('may set its own and send it anywhere, which no administrator answers for then', () => {
    expect(written(before(system()), system(MINE), operator)).toEqual([]);
    expect(written(shared, system(MINE, 'https://b.example'), operator)).toEqual([]);
    expect(written(before(system(MINE), ['llm_api_key']), system(MINE, 'https://b'), operator)).toEqual([]);
  });

  it('may take one out, also when the address changes, and change all else beside a shared one', () => {
    expect(written(shared, system(undefined, 'https://b.example'), operator)).toEqual([]);
    expect(written(shared, { ...system('env:SHARED'), max_qps: 7 }, operator, () => true)).toEqual([
      'llm_api_key',
    ]);
    const unanswered = before(system('env:FROM_BEFORE'));
    expect(written(unanswered, { ...unanswered.value, max_qps: 7 }, operator)).toEqual([]);
  });

  it('is held to each part of a field by its own address', () => {
    const [a, b] = ['https://a.example', 'https://b.example'];
    const routing = (urls: object, tokens: object) => ({ strategy_urls: urls, strategy_tokens: tokens });
    const from = before(routing({ llm: a, gliner: b }, { llm: 'env:SHARED' }), ['strategy_tokens.llm']);
    const write = (to: Value) =>
      vouchedAfter(ROUTING_CONFIG, [from, to], { tenant, writer: operator, names: () => false });
    expect(write(routing({ llm: a, gliner: a }, { llm: 'env:SHARED', gliner: MINE }))).toEqual([
      'strategy_tokens.llm',
    ]);
    expect(() => write(routing({ llm: b, gliner: b }, { llm: 'env:SHARED' }))).toThrow(denied);
    expect(() => write(routing({ llm: a, gliner: b }, { gliner: 'env:SHARED' }))).toThrow(denied);
  });
});

describe('an administrator', () => {
  it('answers for what is changed, and for what the write says outright', () => {
    expect(written(before(system()), system('env:SHARED'), admin)).toEqual(['llm_api_key']);
    const unanswered = before(system('env:FROM_BEFORE'));
    expect(written(unanswered, { ...unanswered.value, max_qps: 7 }, admin)).toEqual([]);
    expect(written(unanswered, unanswered.value, admin, (path) => path === 'llm_api_key')).toEqual([
      'llm_api_key',
    ]);
    expect(written(unanswered, system('env:FROM_BEFORE', 'https://b.example'), admin)).toEqual([
      'llm_api_key',
    ]);
  });

  it.each([
    'env:CVOPS_SYSTEM_TOKEN',
    'env:DATABASE_URL',
    'file:/run/secrets/system',
    'file:/proc/self/environ',
  ])('never sends %s anywhere', (reference) => {
    expect(() => written(before(system()), system(reference), admin)).toThrow(refused);
  });
});

describe('whoever writes what in whatever order', () => {
  const reference = fc.constantFrom(undefined, MINE, 'env:SHARED', 'file:/etc/tenants/acme/k', 'file:/etc/k');
  const url = fc.constantFrom('https://a', 'https://b');
  const part = <T>(of: fc.Arbitrary<T>) =>
    fc
      .tuple(...STRATEGIES.map(() => of))
      .map((each) =>
        Object.fromEntries(STRATEGIES.flatMap((name, i) => (each[i] === undefined ? [] : [[name, each[i]]]))),
      );
  const routing = fc.record({ strategy_urls: part(url), strategy_tokens: part(reference) });
  const step = fc.record({
    value: routing,
    by: fc.constantFrom(admin, operator, undefined),
    names: fc.boolean(),
  });

  it('what lies in no place of the tenant is sent only where an administrator said', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let now = before({});
        /** Every pair of path, reference and address that an administrator ever wrote. */
        const said = new Set<string>();
        for (const { value, by, names } of steps) {
          const pairs = sentReferences(ROUTING_CONFIG, value);
          try {
            const writes = { tenant, writer: by, names: () => names };
            now = { value, vouched: vouchedAfter(ROUTING_CONFIG, [now, value], writes) };
          } catch {
            continue;
          }
          if (by === admin) for (const pair of pairs) said.add(JSON.stringify(pair));
          for (const pair of pairs) {
            const isOwn = pair.reference === MINE || pair.reference.startsWith('file:/etc/tenants/');
            const isVouched = now.vouched.includes(pair.path);
            expect(isOwn || isVouched).toBe(true);
            if (isVouched) expect(said).toContain(JSON.stringify(pair));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});
