import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withRemovalAllowed, withoutRemovalAllowed } from '../../../src/vespa/package/overrides.js';

const NOON = new Date('2026-02-28T12:00:00Z');
const theirs = `<?xml version="1.0"?>
<!-- agreed in the change board -->
<validation-overrides>
    <allow until="2026-03-05" comment="T-1">schema-removal</allow>
    <allow until='2026-03-09'>field-type-change</allow>
</validation-overrides>
`;

/** Every `<allow>` of a file: its attributes and its id. */
const allows = (text: string) =>
  [...text.matchAll(/<allow ([^>]*)>([^<]*)<\/allow>/g)].map((m) => ({ attributes: m[1], id: m[2] }));

describe('withRemovalAllowed', () => {
  it('makes a file that allows schema-removal until tomorrow, in UTC', () => {
    const text = withRemovalAllowed(undefined, NOON);
    expect(allows(text)).toEqual([
      { attributes: expect.stringMatching(/^until="2026-03-01" /) as string, id: 'schema-removal' },
    ]);
    expect(text).toMatch(/^<validation-overrides>\n[^]*\n<\/validation-overrides>\n$/);
  });

  it.each([
    ['2026-12-31T23:59:59.999Z', '2027-01-01'],
    ['2028-02-28T00:00:00Z', '2028-02-29'],
    // Half past midnight in Berlin is yesterday where the server counts.
    ['2026-07-01T00:30:00+02:00', '2026-07-01'],
  ])('at %s is dated %s', (now, until) => {
    expect(withRemovalAllowed(undefined, new Date(now))).toContain(`until="${until}"`);
  });

  it('stands beside what others allow, whose bytes stay', () => {
    const text = withRemovalAllowed(theirs, NOON);
    expect(allows(text).map(({ id }) => id)).toEqual([
      'schema-removal',
      'field-type-change',
      'schema-removal',
    ]);
    expect(withoutRemovalAllowed(text)).toBe(theirs);
  });

  it('is written once, with the newest date, when a deploy that failed left one behind', () => {
    const yesterday = withRemovalAllowed(theirs, new Date('2026-02-26T12:00:00Z'));
    expect(yesterday).toContain('until="2026-02-27"');
    expect(withRemovalAllowed(yesterday, NOON)).toBe(withRemovalAllowed(theirs, NOON));
  });

  it('fills an empty element', () => {
    for (const empty of [
      '<validation-overrides/>',
      '<validation-overrides />\n',
      '<validation-overrides></validation-overrides>',
    ])
      expect(allows(withRemovalAllowed(empty, NOON)).map(({ id }) => id)).toEqual(['schema-removal']);
  });

  it('refuses a file that has no place for it', () => {
    for (const text of ['', '<overrides></overrides>'])
      expect(() => withRemovalAllowed(text, NOON)).toThrow(expect.objectContaining({ type: 'Rejected' }));
  });
});

describe('withoutRemovalAllowed', () => {
  it('takes the file away when nothing else is in it', () => {
    expect(withoutRemovalAllowed(withRemovalAllowed(undefined, NOON))).toBeUndefined();
    expect(withoutRemovalAllowed(undefined)).toBeUndefined();
  });

  it('leaves others’ schema-removal and others’ empty file alone', () => {
    expect(withoutRemovalAllowed(theirs)).toBe(theirs);
    const empty = '<validation-overrides>\n</validation-overrides>\n';
    expect(withoutRemovalAllowed(empty)).toBe(empty);
  });

  it('gives back every byte of any file that allows something, however it is laid out', () => {
    const gap = fc.stringMatching(/^(\r?\n)?[ \t]{0,4}$/);
    const allow = fc.constantFrom(
      '<allow until="2026-03-05">schema-removal</allow>',
      "<allow until='2026-03-05' comment='by hand'>indexing-change</allow>",
      '<!-- <allow until="2020-01-01">schema-removal</allow> -->',
    );
    const file = fc
      .tuple(
        fc.constantFrom('', '<?xml version="1.0" encoding="utf-8"?>\n', '\ufeff', '<!-- a -->\r\n'),
        fc.array(fc.tuple(gap, allow), { minLength: 1, maxLength: 4 }),
        gap,
        fc.constantFrom('', '\n', '\r\n'),
      )
      .map(
        ([head, lines, end, tail]) =>
          `${head}<validation-overrides>${lines.flat().join('')}${end}</validation-overrides>${tail}`,
      );
    fc.assert(
      fc.property(file, (text) => {
        const added = withRemovalAllowed(text, NOON);
        expect(allows(added)).toHaveLength(allows(text).length + 1);
        expect(withoutRemovalAllowed(added)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });
});
