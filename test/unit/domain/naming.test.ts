import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTenantId } from '../../../src/domain/ids.js';
import {
  javaHashCode,
  phoenixProjectName,
  tenantSchemaName,
  workflowIds,
} from '../../../src/domain/naming.js';
import { BASE_SCHEMAS } from '../../../src/domain/profiles.js';

const longest = parseTenantId('x'.repeat(48));
const tenantIds = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,6}$/), { minLength: 1, maxLength: 6 })
  .map((words) => `t${words.join('_')}`)
  .map((text) => parseTenantId(text));

describe('javaHashCode', () => {
  // As printed by `String.hashCode()` of OpenJDK 17.
  it.each([
    ['', 0],
    ['a', 97],
    ['tAa', 113588],
    ['tBB', 113588],
    ['video_colpali_smol500_mv_frame_acme_corp', -1283058915],
    ['video_videoprism_base_mv_chunk_30s_globex_inc', -1987547230],
    ['video_colqwen_omni_mv_chunk_30s_a_tenant_whose_id_is_forty_eight_characters_lon0', 77797985],
    ['Größe', 69209585],
    ['😀', 1772899],
  ])('of %j is %i', (text, hash) => {
    expect(javaHashCode(text)).toBe(hash);
  });

  it('is equal for schemas of two tenants whose ids are equal in hash and in length', () => {
    const names = ['an', 'c0'].map((tenant) => tenantSchemaName('agent_memories', parseTenantId(tenant)));
    expect(new Set(names).size).toBe(2);
    expect(names.map(javaHashCode)).toEqual([-87166765, -87166765]);
  });

  it('is the sum of Java’s definition, modulo 2^32, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        let sum = 0n;
        for (let i = 0; i < text.length; i++)
          sum += BigInt(text.charCodeAt(i)) * 31n ** BigInt(text.length - 1 - i);
        expect(javaHashCode(text)).toBe(Number(BigInt.asIntN(32, sum)));
      }),
    );
  });
});

describe('names', () => {
  it('puts the tenant behind the base schema, as the guide does', () => {
    const acme = parseTenantId('acme_corp');
    expect(tenantSchemaName('video_colpali_smol500_mv_frame', acme)).toBe(
      'video_colpali_smol500_mv_frame_acme_corp',
    );
    expect(phoenixProjectName(acme)).toBe('acme_corp_project');
  });

  it('leaves room for `.sd` in a file name of 255 bytes, for every base and the longest tenant id', () => {
    for (const base of BASE_SCHEMAS) {
      const name = tenantSchemaName(base, longest);
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(Buffer.byteLength(`${name}.sd`)).toBeLessThanOrEqual(255);
    }
  });

  it('gives every pair of base and tenant a name of its own', () => {
    const pair = fc.record({ base: fc.constantFrom(...BASE_SCHEMAS), tenant: tenantIds });
    fc.assert(
      fc.property(pair, pair, (a, b) => {
        const same = a.base === b.base && a.tenant === b.tenant;
        expect(tenantSchemaName(a.base, a.tenant) === tenantSchemaName(b.base, b.tenant)).toBe(same);
      }),
    );
    // Also for tenants named as the tail of a base, where one base would have to begin another.
    for (const one of BASE_SCHEMAS)
      for (const other of BASE_SCHEMAS) if (one !== other) expect(one.startsWith(`${other}_`)).toBe(false);
  });

  it('keeps the workflow ids of a tenant apart from each other and from every other tenant’s', () => {
    const ids = (tenant: string) => {
      const id = parseTenantId(tenant);
      return [
        workflowIds.createTenant(id),
        workflowIds.retention(id),
        workflowIds.purge(id),
        workflowIds.ingest(id, 'run'),
      ];
    };
    const all = ['acme', 'acme_corp', 'create', 'ingest', 'run'].flatMap(ids);
    expect(new Set([...all, workflowIds.vespaApplication('default')]).size).toBe(21);
  });
});
