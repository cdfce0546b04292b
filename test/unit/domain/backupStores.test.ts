import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isStorePath, parseStorePath, within } from '../../../src/domain/backups.js';
import { parseStoreLocation, storeLocationText } from '../../../src/domain/backupStores.js';

describe('where a backup store is', () => {
  it.each([
    ['/var/backups', { kind: 'folder', path: '/var/backups' }],
    ['/var//backups/', { kind: 'folder', path: '/var/backups' }],
    ['file:///var/back%20ups/', { kind: 'folder', path: '/var/back ups' }],
    ['/odd/a?b#c@d', { kind: 'folder', path: '/odd/a?b#c@d' }],
    ['s3://films', { kind: 's3', bucket: 'films', prefix: '' }],
    ['s3://films/', { kind: 's3', bucket: 'films', prefix: '' }],
    ['s3://films/a/b_c/', { kind: 's3', bucket: 'films', prefix: 'a/b_c' }],
  ])('is read from %s', (text, location) => {
    expect(parseStoreLocation(text)).toEqual(location);
    expect(parseStoreLocation(storeLocationText(parseStoreLocation(text)))).toEqual(location);
  });

  it.each([
    ...['', 'backups', './backups', '../backups', '/', '//', '/var/../etc', '/var/.', '/a\0b', '/\ud800'],
    ...[
      'file://',
      'file://host/var',
      'file:///',
      'file:///a/%2e%2e/b',
      'file:///a%2f..%2fb',
      'file:///a%',
      'file:/a',
    ],
    ...['file:///a?b', 'file:///a#b', 's3:', 's3://', 's3:///a', 's3://A', 's3://ab/a//b', 's3://abc/../x'],
    ...[
      's3://abc/.',
      's3://abc//',
      's3://abc/a b',
      's3://abc/%2e%2e',
      's3://a..b/c',
      's3://abc/a?versionId=1',
      's3://abc?x',
    ],
    ...[
      's3://abc/a#b',
      `s3://abc/${'a'.repeat(501)}`,
      `/${'a'.repeat(2048)}`,
      'https://abc/d',
      'gs://abc/d',
      'C:\\a',
    ],
    ...[undefined, null, 7],
  ])('is not %j', (text) => {
    expect(() => parseStoreLocation(text)).toThrow(
      expect.objectContaining({ type: 'InvalidInput', hint: expect.any(String) }),
    );
  });

  it.each([
    's3://AKIA:hidden@films/a',
    's3://films/a?X-Amz-Signature=hidden',
    'https://user:hidden@host/a',
    'file://user:hidden@host/a',
  ])('repeats no text that may hold a secret: %s', (text) => {
    expect(() => parseStoreLocation(text)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hidden') }),
    );
  });

  it('reads every place that it writes, and none that leads up', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replaceAll(/[/\0]/g, '_'));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
        const path = `/${names.join('/')}`;
        const leadsUp = names.some((one) => one === '.' || one === '..');
        if (leadsUp) expect(() => parseStoreLocation(path)).toThrow();
        else {
          const location = parseStoreLocation(path);
          expect(location).toEqual({ kind: 'folder', path });
          expect(parseStoreLocation(storeLocationText(location))).toEqual(location);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a place in a store', () => {
  it('leads nowhere else, whatever the text', () => {
    const hostile = fc.constantFrom(
      '..',
      '.',
      '',
      '/',
      '\\',
      '\0',
      '%2e',
      'a',
      'B-1',
      '.put-x',
      '~',
      'ä',
      ' ',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 6 }), fc.constantFrom('/', ''), (parts, join) => {
        const text = parts.join(join);
        if (!isStorePath(text)) return void expect(() => parseStorePath(text)).toThrow();
        expect(text).toMatch(/^[A-Za-z0-9_]/);
        expect(new URL(`s3://store/${text}`).pathname).toBe(`/${text}`);
        expect(text.split('/').every((one) => one !== '' && !one.startsWith('.'))).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(() => within(parseStorePath('acme'), '..', 'globex')).toThrow();
    expect(() => within(parseStorePath('acme'), '')).toThrow();
  });
});
