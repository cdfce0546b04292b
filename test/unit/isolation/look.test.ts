import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { LEAK_KINDS } from '../../../src/domain/canaries.js';
import { parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';
import { greenOf, summed } from '../../../src/isolation/checks.js';
import { LEAKS } from '../../../src/isolation/leaks.js';
import { type Finding, type Look, look } from '../../../src/isolation/look.js';
import type { Member } from '../../../src/isolation/member.js';
import { type Found, MOST, type Schema, type Ways } from '../../../src/isolation/ways.js';

const memberOf = (id: string): Member => ({
  tenant: parseTenantId(id),
  incarnation: parseIncarnation(randomUUID()),
  token: `token of ${id}`,
});
const [ann, bob, carl] = [memberOf('ann'), memberOf('bob'), memberOf('carl')];
const videos: Schema = {
  schemaName: 'video_colpali_smol500_mv_frame_ann',
  baseSchema: 'video_colpali_smol500_mv_frame',
};
const memory: Schema = { schemaName: 'agent_memories_ann', baseSchema: 'agent_memories' };
const canaryIn = ({ schemaName }: Schema, of: Member): Found => ({
  ...{ id: `id:canary:${schemaName}::${of.incarnation}`, tenant: of.tenant, token: of.token },
});
const spanOf = (of: Member): Found => ({ id: 'abcd', tenant: of.tenant, token: of.token });

/** As it should be. */
const apart: Ways = {
  schemasOf: async () => [videos, memory],
  projectOf: async () => 'ann_project',
  search: async (schema, of) => [canaryIn(schema, of)],
  get: async (_, other) => other === ann,
  visit: async (schema) => [canaryIn(schema, ann)],
  remember: async (_, of) => [of.incarnation],
  spans: async (_, of) => [spanOf(of)],
  config: async (of) => [of.token],
};
const lookAs = (faulty: Partial<Ways> = {}, others: readonly Member[] = [bob, carl]): Promise<Look> =>
  look({ ...apart, ...faulty }, ann, others, new AbortController().signal);
const seen = async (faulty: Partial<Ways>) =>
  (await lookAs(faulty)).findings.map(({ name, a, b, missing }) => [name, a, b, missing]);

describe('look', () => {
  test('all as it should be: every way is gone, nothing is found', async () => {
    const { ways, findings } = await lookAs();
    expect(findings).toEqual([]);
    expect(ways.toSorted()).toEqual(['config', 'get', 'memory', 'search', 'spans', 'visit']);
  });

  test('a way that a tenant has not is none of its ways', async () => {
    const { ways, findings } = await lookAs({
      schemasOf: async () => [videos],
      projectOf: async () => undefined,
    });
    expect([ways.toSorted(), findings]).toEqual([['config', 'get', 'search', 'visit'], []]);
  });

  test.each<[string, Partial<Ways>, unknown[]]>([
    ['a search', { search: async (s, of) => [canaryIn(s, of), canaryIn(s, bob)] }, ['search', 'memory']],
    ['a visit', { visit: async (s) => [canaryIn(s, ann), canaryIn(s, bob)] }, ['visit', 'memory']],
    ['an address', { get: async (_, other) => other !== carl }, ['get', 'memory']],
    ['a memory', { remember: async () => [bob.incarnation, ann.incarnation] }, ['memory']],
    ['a project', { spans: async () => [spanOf(ann), spanOf(bob)] }, ['spans']],
    ['the configuration', { config: async () => [bob.token, ann.token] }, ['config']],
  ])('another’s by %s', async (_, faulty, names) => {
    expect(await seen(faulty)).toEqual(names.map((name) => [name, 'ann', 'bob', false]));
  });

  test.each<[string, Partial<Ways>, unknown[]]>([
    ['a search', { search: async () => [] }, ['search', 'memory']],
    ['a visit', { visit: async () => [] }, ['visit', 'memory']],
    ['an address', { get: async () => false }, ['get', 'memory']],
    ['a memory', { remember: async () => [] }, ['memory']],
    ['a project', { spans: async () => [] }, ['spans']],
    ['the configuration', { config: async () => [] }, ['config']],
  ])('its own not found by %s', async (_, faulty, names) => {
    expect(await seen(faulty)).toEqual(names.map((name) => [name, 'ann', 'ann', true]));
  });

  test.each<[string, Partial<Found>, string]>([
    ['a tenant that takes no part', { tenant: 'zoe', token: undefined }, 'zoe'],
    ['another life of its own', { tenant: 'ann', token: 'former' }, 'ann'],
    ['its own token, under another’s name', { tenant: 'bob' }, 'bob'],
    ['nobody that could be one', { tenant: 'a secret, and no tenant', token: 7 }, '(unknown)'],
  ])('a document of %s', async (_, of, b) => {
    const search: Ways['search'] = async (schema, me) => {
      const own = canaryIn(schema, me);
      return schema === videos ? [own, { ...own, id: 'id:content:s::x', ...of }] : [own];
    };
    const { findings } = await lookAs({ search });
    expect(findings).toEqual([
      expect.objectContaining({ name: 'search', a: 'ann', b, missing: false }) as unknown,
    ]);
    expect(JSON.stringify(findings)).not.toContain('secret');
  });

  test('its own canary in the place of another document is not its own', async () => {
    const search: Ways['search'] = async (schema, me) => [{ ...canaryIn(schema, me), id: 'id:content:s::x' }];
    const names = (await lookAs({ search })).findings.map(({ name, missing }) => `${name} ${missing}`);
    expect(names).toEqual(['search false', 'search true', 'memory false', 'memory true']);
  });

  test('of an answer that is cut off nothing is said of what is not in it', async () => {
    const strangers = Array.from({ length: MOST }, (_, i) => ({ ...canaryIn(videos, bob), id: `${i}` }));
    const { findings } = await lookAs({ schemasOf: async () => [videos], search: async () => strangers });
    expect(findings).toHaveLength(MOST);
    expect(findings.some(({ missing }) => missing)).toBe(false);
  });
});

describe('the leaks that the self-test plants', () => {
  test('leave no way of looking out: each that finds something of another’s must', async () => {
    const all = [ann, bob].map((of) => canaryIn(videos, of));
    const { findings } = await lookAs({
      ...{ search: async () => all, get: async () => true, visit: async () => all },
      remember: async () => [ann.incarnation, bob.incarnation],
      ...{ spans: async () => [spanOf(ann), spanOf(bob)], config: async () => [ann.token, bob.token] },
    });
    const textOf = ({ name, by }: Pick<Finding, 'name' | 'by'>) => `${name} by ${by}`;
    const wanted = LEAK_KINDS.flatMap((kind) => LEAKS[kind].shows.map(textOf));
    expect(new Set(wanted)).toEqual(new Set(findings.map(textOf)));
  });
});

describe('checks', () => {
  test('green is what was looked for and not found', async () => {
    const found = await lookAs({ config: async () => [ann.token, carl.token] }, [bob, carl]);
    const green = greenOf(ann, [bob, carl], found).filter(({ name }) => name === 'config');
    expect(green).toEqual([
      { name: 'config', a: 'ann', b: 'ann', ok: true, detail: 'finds its own' },
      { name: 'config', a: 'ann', b: 'bob', ok: true, detail: 'nothing of it is found' },
    ]);
  });

  test('one a way over all pairs', () => {
    expect(summed({ search: 2450, spans: 2450 }, new Map([['spans', 2]]))).toEqual([
      { name: 'search', a: '*', b: '*', ok: true, detail: '2450 pairs' },
      { name: 'spans', a: '*', b: '*', ok: false, detail: '2450 pairs, 2 findings' },
    ]);
  });
});
