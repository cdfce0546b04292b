import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkInput } from '../../../src/contracts/common.js';
import { searchInput } from '../../../src/contracts/search.js';
import { OpsError } from '../../../src/domain/errors.js';
import { parseIncarnation, parseTenantId } from '../../../src/domain/ids.js';
import { tenantSchemaName } from '../../../src/domain/naming.js';
import { checkScope } from '../../../src/memory/input.js';
import { conditionOf } from '../../../src/memory/query.js';
import { searchSegments } from '../../../src/vespa/search.js';
import { FOREIGN, POISON, UUID, expectRefusal, share } from '../../support/badInput/texts.js';

describe('words of a user', () => {
  const words = fc.oneof(
    fc.constantFrom(...POISON, ...FOREIGN).map((text) => `x${text}`),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }),
  );
  const rest = {
    tenant: 'acme_corp',
    profile: 'video_colpali_smol500_mv_frame',
    ranking: 'bm25_only',
    topK: 1,
  };

  it('change nothing of a query but its parameter, or are refused', () =>
    fc.assert(
      fc.asyncProperty(words, async (query) => {
        let text: string;
        try {
          text = checkInput(searchInput, { ...rest, query }).query;
        } catch (error) {
          expectRefusal(error);
          return;
        }
        expect(text).toBe(query);
        const bodies: Record<string, unknown>[] = [];
        const search = (body: Record<string, unknown>): never => {
          bodies.push(body);
          throw new OpsError('Unavailable', 'the test has seen it');
        };
        const schema = tenantSchemaName('video_colpali_smol500_mv_frame', parseTenantId('acme_corp'));
        await searchSegments({
          ...{ documents: { search }, schema, profile: 'video_colpali_smol500_mv_frame' },
          ...{ ranking: 'bm25_only', text, vectors: async () => [], dimensions: 128, topK: 1 },
        }).catch(() => undefined);
        const { userQuery, ...others } = bodies[0]!;
        expect(userQuery).toBe(query);
        expect(others['yql']).toBe(
          `select * from ${schema} where {defaultIndex: "default", grammar: "any"}userInput(@userQuery) and !(incarnation contains "canary")`,
        );
        expect(JSON.parse(JSON.stringify(bodies[0]))).toMatchObject({ userQuery: query });
      }),
      share(4),
    ));

  it('that name a user, an agent or a run are parameters of a selection, never part of it', () => {
    const life = {
      tenant: parseTenantId('acme_corp'),
      incarnation: parseIncarnation(UUID),
      schema: 'memory',
    };
    fc.assert(
      fc.property(words, words, (userId, runId) => {
        try {
          checkScope({ userId, runId });
        } catch (error) {
          expectRefusal(error);
          return;
        }
        const { yql, parameters } = conditionOf(life, { userId, runId });
        expect(yql).toBe(
          'tenant_id contains @tenant_id and incarnation contains @incarnation and user_id contains @user_id and run_id contains @run_id',
        );
        expect([parameters['user_id'], parameters['run_id'], parameters['tenant_id']]).toEqual([
          userId,
          runId,
          'acme_corp',
        ]);
      }),
      share(4),
    );
  });
});
