import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TenantId, parseTenantId } from '../../../src/domain/ids.js';
import { isOwnSecret } from '../../../src/domain/ownSecrets.js';
import { parseSecretPlaces, secretPlaceOf, secretPlacesOf } from '../../../src/domain/secretPlaces.js';

const PLACES = ['file:/etc/tenants/{tenant}/', 'file:/run/{tenant}/secrets/', 'env:TENANT_{tenant}__'];
const allows = (tenant: TenantId, reference: string, places = PLACES) =>
  secretPlaceOf(secretPlacesOf(tenant, parseSecretPlaces(places)), reference) !== undefined;

describe('the places of secrets', () => {
  it.each([
    ['/etc/tenants/{tenant}/', 'begins with file:/ or env:'],
    ['file:etc/{tenant}/', 'begins with file:/ or env:'],
    ['s3://secrets/{tenant}/', 'begins with file:/ or env:'],
    ['file:/etc/tenants/{tenant}', 'ends with /'],
    ['file:/etc/tenants/', 'has {tenant} once'],
    ['file:/etc/tenants/x{tenant}/', 'has {tenant} once'],
    ['file:/etc/../{tenant}/', 'no empty, . or .. segment'],
    // Where the id ends would not be certain: a's would be a_b's too.
    ['env:TENANT_{tenant}', 'two underscores'],
    ['env:TENANT_{tenant}_', 'two underscores'],
    ['env:TENANT_{tenant}__KEY', 'two underscores'],
    ['env:{tenant}__', 'two underscores'],
    ['env:TENANT__', 'two underscores'],
    ['env:CVOPS_TENANT_{tenant}__', "the installation's own"],
    ['env:AWS_{tenant}__', "the installation's own"],
  ])('%s is none', (text, why) => {
    expect(() => parseSecretPlaces([text])).toThrow(
      expect.objectContaining({ type: 'InvalidInput', message: expect.stringContaining(why) }),
    );
  });

  it.each([
    ['file:/etc/{tenant}/', 'file:/etc/tenants/{tenant}/'],
    ['env:T_{tenant}__', 'env:T_A_{tenant}__'],
  ])('%s and %s are not both: a name would be two tenants’', (first, second) => {
    for (const both of [
      [first, second],
      [second, first],
    ])
      expect(() => parseSecretPlaces(both)).toThrow(expect.objectContaining({ type: 'InvalidInput' }));
    expect(parseSecretPlaces(PLACES)).toEqual(PLACES);
  });
});

describe('what a tenant may refer to', () => {
  const acme = parseTenantId('acme');
  it.each([
    'file:/etc/tenants/acme/llm',
    'file:/etc/tenants/acme/..data/llm',
    'file:/run/acme/secrets/a/b',
    'env:TENANT_acme__LLM',
    'env:TENANT_acme___',
  ])('%s', (reference) => {
    expect(allows(acme, reference)).toBe(true);
  });
  it.each([
    'file:/etc/tenants/acme',
    'file:/etc/tenants/acme/',
    'file:/etc/tenants/acme2/llm',
    'file:/etc/tenants/acme/../other/llm',
    'file:/etc/tenants/other/../acme/llm',
    'file://etc/tenants/acme/llm',
    'file:/run/acme/key',
    'env:TENANT_acme__',
    'env:TENANT_acme_LLM',
    'env:TENANT_acme_b__LLM',
    'env:tenant_acme__LLM',
    'env:XTENANT_acme__LLM',
    'env:/etc/tenants/acme/llm',
    'file:TENANT_acme__LLM',
    'TENANT_acme__LLM',
  ])('not %s', (reference) => {
    expect(allows(acme, reference)).toBe(false);
  });

  const tenant = fc.constantFrom('aa', 'aa_b', 'aab', 'a1', 'b_aa').map(parseTenantId);
  const part = fc.constantFrom(
    'aa',
    'aa_b',
    'aab',
    'b_aa',
    'b',
    '_',
    '__',
    'TENANT_',
    'X',
    '/',
    '..',
    'a',
    '.',
  );
  const name = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
  const start = fc.constantFrom('env:TENANT_', 'file:/etc/tenants/', 'file:/run/', 'env:');

  it('is never another tenant’s too', () => {
    fc.assert(
      fc.property(tenant, tenant, start, name, (a, b, start, name) => {
        expect(a !== b && allows(a, start + name) && allows(b, start + name)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('is of files what lies below a folder of its own, however it is written', () => {
    fc.assert(
      fc.property(tenant, name, (of, name) => {
        const file = `/etc/tenants/${name}`;
        if (allows(of, `file:${file}`))
          expect(path.posix.resolve(file).startsWith(`/etc/tenants/${of}/`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('what is the installation’s own', () => {
  const own = { variables: ['BACKUP_SECRET'], files: ['/run/secrets/system', '/srv/cvops/.cvops/'] };
  it.each([
    ...['env:CVOPS_TOKEN', 'env:CVOPS_SYSTEM_TOKEN', 'env:CVOPS_ANYTHING_LATER', 'env:DATABASE_URL'],
    ...['env:PGPASSWORD', 'env:AWS_SECRET_ACCESS_KEY', 'env:aws_session_token', 'env:BACKUP_SECRET'],
    ...[
      'file:/run/secrets/system',
      'file:/run/../run//secrets/./system',
      'file:/srv/cvops/.cvops/keys/admin.token',
    ],
    ...['file:/proc/self/environ', 'file:/x/../proc/1/environ', 'file:/dev/fd/3'],
    'file:/var/run/secrets/kubernetes.io/serviceaccount/token',
  ])('%s', (reference) => {
    expect(isOwnSecret(reference, own)).toBe(true);
  });
  it.each([
    'env:ACME_LLM',
    'env:TENANT_acme__LLM',
    'env:PAGER',
    'file:/run/secrets/system2',
    'file:/srv/cvops/key',
  ])('not %s', (reference) => {
    expect(isOwnSecret(reference, own)).toBe(false);
  });
});
