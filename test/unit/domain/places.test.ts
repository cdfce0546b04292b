import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseStoreLocation } from '../../../src/domain/backupStores.js';
import { quotePlace } from '../../../src/domain/places.js';
import { parseSource } from '../../../src/domain/sources.js';

test.each([
  ['s3://Films/a', '"s3://Films/a"'],
  ['s3://AKIA7:hid/den@films/a', '"s3://\\u2026@films/a"'],
  ['AKIA7:hidden@films/a', '"\\u2026@films/a"'],
  ['list:s3://AKIA7:hidden@films/a', '"list:s3://\\u2026@films/a"'],
  ['https://host/a?X-Amz-Signature=hidden', '"https://host/a?\\u2026"'],
  ['https://user:hidden@host/a?b=hidden@c#d', '"https://\\u2026@c?\\u2026"'],
  ['/videos/a?b@home', '"/videos/a?b@home"'],
])('%s is shown as %s', (text, shown) => {
  expect(quotePlace(text)).toBe(shown);
});

test('no credentials and no signed query come back in a refusal, whatever they are made of', () => {
  const letters = fc.constantFrom(...'aZ09+/=:@?#.%-');
  const secret = fc.string({ unit: letters, maxLength: 20 }).map((text) => `hid${text}den`);
  const scheme = fc.constantFrom('s3://', 'https://', 'list:s3://', 'ftp://', '');
  fc.assert(
    fc.property(scheme, secret, fc.boolean(), (begin, hidden, asQuery) => {
      const text = asQuery ? `${begin}films/a?sig=${hidden}` : `${begin}KEY:${hidden}@films/a`;
      for (const parse of [parseSource, parseStoreLocation])
        try {
          parse(text);
        } catch (error) {
          const { message } = error as Error;
          expect(message).not.toContain('hid');
        }
    }),
  );
});
