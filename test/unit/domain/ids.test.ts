import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import {
  TENANT_ID_RULE,
  parseIncarnation,
  parseOperationId,
  parseTenantId,
  quoteForMessage,
} from '../../../src/domain/ids.js';

const RESERVED = ['admin', 'system', 'all', 'none', 'null', 'nil', 'nan', 'undefined', 'true', 'false'];

/** The rule of the design said a second time, in other words than the parser's. */
function isTenantId(text: string): boolean {
  const words = text.split('_');
  return (
    [...text].length === text.length &&
    text.length >= 2 &&
    text.length <= 48 &&
    words.every(
      (word) => word !== '' && [...word].every((c) => 'abcdefghijklmnopqrstuvwxyz0123456789'.includes(c)),
    ) &&
    !'0123456789'.includes(text[0]!) &&
    !RESERVED.includes(text)
  );
}

function refusal(run: () => unknown): OpsError {
  try {
    run();
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('parseTenantId', () => {
  it.each([
    'default',
    'ab',
    'a1',
    'acme_corp',
    'globex_inc',
    'a_1_b_2',
    'adminx',
    'all_tenants',
    'x'.repeat(48),
  ])('accepts %s as it is', (id) => {
    expect(parseTenantId(id)).toBe(id);
  });

  it.each([
    ['nothing', ''],
    ['one letter', 'a'],
    ['49 characters', 'a'.repeat(49)],
    ['300 characters', 'a'.repeat(300)],
    ['a folder up', '..'],
    ['this folder', '.'],
    ['a path', 'a/b'],
    ['a path up', '../etc'],
    ['a backslash', 'a\\b'],
    ['capitals', 'Acme'],
    ['a hyphen', 'acme-corp'],
    ['a space within', 'acme corp'],
    ['a space before', ' acme'],
    ['a space after', 'acme '],
    ['a newline after', 'acme\n'],
    ['CR LF after', 'acme\r\n'],
    ['a line separator after', 'acme\u2028'],
    ['a NUL after', 'acme\0'],
    ['a NUL within', 'ac\0me'],
    ['a digit first', '1acme'],
    ['an underscore first', '_acme'],
    ['an underscore last', 'acme_'],
    ['two underscores', 'acme__corp'],
    ['Cyrillic a and e', '\u0430cm\u0435'],
    ['full-width letters', '\uff41\uff43\uff4d\uff45'],
    ['a combining accent', 'acme\u0301'],
    ['a zero-width joiner', 'ac\u200dme'],
    ['a right-to-left override', '\u202eacme'],
    ['an Arabic digit', 'acme\u0661'],
    ['a dotless i', 'tr\u0131al'],
    ['an emoji', 'acme😀'],
    ['half an emoji', 'acme\ud83d'],
    ['percent encoding', 'a%2Fb'],
    ['a quote', "acme'; drop table tenants; --"],
    ['a prototype key', '__proto__'],
    ['a wildcard', 'acme*'],
    ...RESERVED.map((word) => [`the reserved word ${word}`, word]),
  ])('refuses %s, naming the rule', (_, id) => {
    const error = refusal(() => parseTenantId(id));
    expect(error.type).toBe('InvalidInput');
    expect(error.exitCode).toBe(2);
    expect(error.hint).toBe(TENANT_ID_RULE);
    // Whatever came in, the message is one short line of ASCII.
    expect(error.message).toMatch(/^not a tenant id: [\x20-\x7e]{1,500}$/);
  });

  it.each([undefined, null, 7, true, ['acme'], { toString: () => 'acme' }, new String('acme')])(
    'refuses %o, which is no text',
    (value) => {
      expect(refusal(() => parseTenantId(value)).hint).toBe(TENANT_ID_RULE);
    },
  );

  it('names every reserved word in its rule', () => {
    for (const word of RESERVED) expect(TENANT_ID_RULE).toContain(word);
  });

  it('accepts exactly what the rule says, and returns it unchanged', () => {
    const nearly = fc.string({
      unit: fc.constantFrom(...'abz09__AZ-./ \n\0', 'é', '\u0430', '\ud83d'),
      maxLength: 52,
    });
    // Ids by construction, so that the property is not only about refusals.
    const word = fc.string({ unit: fc.constantFrom(...'abcxyz019'), minLength: 1, maxLength: 12 });
    const built = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join('_'));
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(nearly, built, fc.constantFrom(...RESERVED), fc.string()), (text) => {
        if (isTenantId(text)) {
          accepted++;
          expect(parseTenantId(text)).toBe(text);
        } else {
          expect(refusal(() => parseTenantId(text)).type).toBe('InvalidInput');
        }
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('UUIDs', () => {
  it('accepts lower-case UUIDs as incarnation and operation id', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(parseIncarnation(uuid)).toBe(uuid);
        expect(parseOperationId(uuid)).toBe(uuid);
      }),
    );
  });

  it.each([
    '',
    '6F9619FF-8B86-4011-B42D-00CF4FC964FF',
    '6f9619ff-8b86-4011-b42d-00cf4fc964f',
    '6f9619ff-8b86-4011-b42d-00cf4fc964ff\n',
    '6f9619ff8b864011b42d00cf4fc964ff',
    '00000000-0000-0000-0000-000000000000',
    undefined,
  ])('refuses %j', (text) => {
    expect(refusal(() => parseIncarnation(text))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(/^not an incarnation: /) as string,
    });
    expect(refusal(() => parseOperationId(text)).message).toMatch(/^not an operation id: /);
  });
});

describe('quoteForMessage', () => {
  it('shows look-alikes and control characters as escapes', () => {
    expect(quoteForMessage('\u0430cme\n\0"')).toBe('"\\u0430cme\\n\\u0000\\""');
  });

  it('shows the beginning of a long text and its length', () => {
    expect(quoteForMessage('a'.repeat(300))).toBe(`"${'a'.repeat(57)}..." (300 characters)`);
  });

  it('is printable ASCII on one line for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(quoteForMessage(text)).toMatch(/^[\x20-\x7e]{2,400}$/);
      }),
    );
  });
});
