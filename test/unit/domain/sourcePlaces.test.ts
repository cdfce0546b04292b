import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TenantId, parseTenantId } from '../../../src/domain/ids.js';
import {
  type NamedPlace,
  parseSourcePlaces,
  placeDenial,
  placesOf,
} from '../../../src/domain/sourcePlaces.js';
import { parseSource } from '../../../src/domain/sources.js';

const PLACES = parseSourcePlaces(['/srv/videos/{tenant}/', '/home/{tenant}/in/box/', 's3://films/{tenant}/']);
const allows = (tenant: TenantId, named: NamedPlace) =>
  placeDenial(tenant, placesOf(tenant, PLACES), named) === undefined;

describe('the places of an installation', () => {
  it.each([
    ['/srv/videos/{tenant}', 'ends with /'],
    ['/srv/videos/', 'has {tenant} once'],
    ['/srv/videos/{tenant}_x/', 'has {tenant} once'],
    ['/srv/{tenant}/x{tenant}/', 'has {tenant} once'],
    ['/srv/{tenant}/{tenant}/', 'has {tenant} once'],
    ['/srv/../{tenant}/', 'no empty, . or .. segment'],
    ['/srv//{tenant}/', 'no empty, . or .. segment'],
    ['s3://films', 'ends with /'],
    ['s3://films/', 'ends with /'],
    ['s3://films/{tenant}', 'ends with /'],
    ['s3://{tenant}/x/', 'not a bucket name'],
    ['list:/srv/{tenant}/', 'a folder or an S3 prefix'],
    ['srv/{tenant}/', 'not an absolute path'],
    ['https://films/{tenant}/', 'no such kind of source'],
  ])('%s is none', (text, why) => {
    expect(() => parseSourcePlaces([text])).toThrow(
      expect.objectContaining({ type: 'InvalidInput', message: expect.stringContaining(why) }),
    );
  });

  it.each([
    ['/srv/{tenant}/', '/srv/x/{tenant}/'],
    ['/{tenant}/', '/home/{tenant}/in/'],
    ['s3://films/{tenant}/', 's3://films/x/y/{tenant}/'],
  ])('%s and %s are not both: tenant x would have everybody’s', (first, second) => {
    for (const both of [
      [first, second],
      [second, first],
    ])
      expect(() => parseSourcePlaces(both)).toThrow(
        expect.objectContaining({ type: 'InvalidInput', message: expect.stringContaining('two tenants') }),
      );
  });

  it.each([
    ['/home/{tenant}/in/', '/home/{tenant}/out/'],
    ['/srv/a/{tenant}/', '/srv/ab/{tenant}/'],
    ['/films/{tenant}/', 's3://films/{tenant}/'],
  ])('%s and %s are', (...both) => {
    expect(parseSourcePlaces(both)).toHaveLength(2);
  });
});

describe('what a tenant’s principal may name', () => {
  const acme = parseTenantId('acme');
  it.each([
    '/srv/videos/acme',
    '/srv/videos/acme/',
    '/srv/videos/acme/2026//day 1',
    'list:/srv/videos/acme/new.txt',
    '/home/acme/in/box',
    's3://films/acme/',
    's3://films/acme/2026',
  ])('%s', (text) => {
    expect(allows(acme, parseSource(text))).toBe(true);
  });
  it.each([
    '/',
    '/srv/videos',
    '/srv/videos/acme_2',
    '/srv/videos/acme2/x',
    '/srv/videos/ACME',
    '/srv/videos/acme/../other',
    '/srv/videos/acme/..',
    '/srv/videos/other/../acme',
    '/srv/videos/./acme',
    '//srv/videos/acme',
    '/home/acme',
    '/home/acme/in',
    '/home/acme/in/boxes',
    'list:/srv/videos/acme',
    'list:/srv/videos/acme/',
    's3://films',
    's3://films/acme',
    's3://films/acme2/',
    's3://films/acme/../other/',
    's3://films//acme/',
    's3://films/x/acme/',
    's3://films2/acme/',
  ])('not %s', (text) => {
    const denial = placeDenial(acme, placesOf(acme, PLACES), parseSource(text));
    expect(denial).toMatchObject({
      why: expect.stringContaining('is in no place of tenant acme'),
      hint: expect.stringContaining('/srv/videos/acme/ or /home/acme/in/box/ or s3://films/acme/'),
    });
  });

  it('nothing where no place is set', () => {
    expect(placeDenial(acme, [], parseSource('/srv/videos/acme'))?.hint).toContain('CVOPS_SOURCE_PLACES');
  });

  // Ids that begin each other, and ways to write up and down.
  const tenant = fc.constantFrom('aa', 'aa_b', 'aab', 'a1', 'b_aa').map(parseTenantId);
  const segment = fc.oneof(
    fc.constantFrom('..', '.', '', '%2e%2e', '..%2f', '…', '\\..\\', 'srv', 'videos', 'home', 'in', 'box'),
    tenant,
    fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => text.replace(/[/\0]/g, '')),
  );
  const below = fc.array(segment, { maxLength: 6 }).map((segments) => segments.join('/'));
  const start = fc.constantFrom('/', '/srv/videos/', '/srv/videos/aa/', '/home/aa/in/box/', '/home/aa_b/');

  it('is of paths what, however they are written, lies below a folder of its own', () => {
    const kind = fc.constantFrom('folder' as const, 'list' as const, 'file' as const);
    fc.assert(
      fc.property(tenant, kind, start, below, (of, kind, start, below) => {
        const named = { kind, path: start + below };
        const real = `${path.posix.resolve(named.path)}/`;
        const isOwn = [`/srv/videos/${of}/`, `/home/${of}/in/box/`].some((own) => real.startsWith(own));
        if (allows(of, named)) expect(isOwn).toBe(true);
        // Nothing more is refused than what is written with dots, twice a slash, or names no file.
        else if (kind === 'folder' && !/(^|\/)\.{0,2}(\/|$)/.test(named.path.replace(/^\/|\/$/g, '')))
          expect(isOwn).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('is of keys what begins with its own prefix, to whoever reads dots as S3 does not, too', () => {
    fc.assert(
      fc.property(tenant, fc.constantFrom('', 'aa/', 'aa_b/'), below, (of, start, below) => {
        const prefix = start + below;
        const url = new URL(`http://s3/films/${prefix.split('/').map(encodeURIComponent).join('/')}`);
        if (!allows(of, { kind: 's3', bucket: 'films', prefix })) return;
        expect(prefix.startsWith(`${of}/`)).toBe(true);
        expect(url.pathname.startsWith(`/films/${of}/`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('is never another tenant’s too', () => {
    fc.assert(
      fc.property(tenant, tenant, start, below, (a, b, start, below) => {
        const named = { kind: 'folder', path: start + below } as const;
        expect(a !== b && allows(a, named) && allows(b, named)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });
});
