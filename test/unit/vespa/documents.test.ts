import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { documentIdText, documentPath } from '../../../src/vespa/documents.js';
import { RETRY_POLICY, backoffMs, policyFor } from '../../../src/vespa/retry.js';

const schema = 'video_colpali_smol500_mv_frame_acme_corp';

describe('documentPath', () => {
  it.each([
    ['plain_seg_0', 'plain_seg_0'],
    // A server that decodes as a form would make a space of `+`.
    ['a+b', 'a%2Bb'],
    ['a b/c', 'a%20b%2Fc'],
    ['50%', '50%25'],
    ['x?y#z', 'x%3Fy%23z'],
    ['ü😀', '%C3%BC%F0%9F%98%80'],
    ['...', '...'],
  ])('of id %j ends with %s', (id, encoded) => {
    expect(documentPath({ namespace: 'acme', schema, id })).toBe(
      `/document/v1/acme/${schema}/docid/${encoded}`,
    );
  });

  it('is one path whatever the parts: five segments, which decode to them', () => {
    const part = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !/^\.{1,2}$/.test(text));
    fc.assert(
      fc.property(part, part, (namespace, id) => {
        const { pathname, search, hash } = new URL(`http://vespa${documentPath({ namespace, schema, id })}`);
        const [, , , ns, type, docid, last, ...more] = pathname.split('/').map(decodeURIComponent);
        expect([ns, type, docid, last, more, search, hash]).toEqual([
          namespace,
          schema,
          'docid',
          id,
          [],
          '',
          '',
        ]);
      }),
    );
  });

  it.each(['', '.', '..'])('of id %j does not exist', (id) => {
    expect(() => documentPath({ namespace: 'acme', schema, id })).toThrow('not a document id');
  });

  it('and the id in the answers are of the same parts', () => {
    expect(documentIdText({ namespace: 'acme', schema, id: 'a+b' })).toBe(`id:acme:${schema}::a+b`);
  });
});

describe('policyFor', () => {
  it.each([
    ['networkError', 'retry'],
    [408, 'retry'],
    [429, 'retry'],
    [500, 'retry'],
    [502, 'retry'],
    [503, 'retry'],
    [504, 'retry'],
    [507, 'blocked'],
    [400, 'fail'],
    [401, 'fail'],
    [404, 'fail'],
    [405, 'fail'],
    [412, 'fail'],
    [413, 'fail'],
    [501, 'fail'],
  ] as const)('%s: %s', (status, policy) => {
    expect(policyFor(status)).toBe(policy);
  });

  it('knows no other answer that is tried again', () => {
    expect(Object.keys(RETRY_POLICY)).toHaveLength(8);
  });
});

describe('backoffMs', () => {
  it('grows to five seconds and no further', () => {
    fc.assert(
      fc.property(fc.nat(2000), (attempt) => {
        const wait = backoffMs(attempt);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(Math.min(5000, 50 * 2 ** attempt));
      }),
    );
  });

  it('is what the server asks for, up to a minute', () => {
    expect([backoffMs(0, '0'), backoffMs(0, '2'), backoffMs(9, '3600')]).toEqual([0, 2000, 60_000]);
  });

  it.each(['Wed, 21 Oct 2026 07:28:00 GMT', 'soon', '-1'])(
    'is our own when it asks with %j',
    (retryAfter) => {
      expect(backoffMs(0, retryAfter)).toBeLessThanOrEqual(50);
    },
  );
});
