import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Incarnation, parseTenantId } from '../../src/domain/ids.js';
import { tenantSchemaName } from '../../src/domain/naming.js';
import { BASE_SCHEMAS, MEMORY_SCHEMA, PROFILES, PROFILE_NAMES } from '../../src/domain/profiles.js';
import { TenantMemories } from '../../src/memory/tenantMemories.js';
import { generateSd } from '../../src/vespa/package/sd.js';
import { loadSchema } from '../../src/vespa/schemaFiles.js';
import { countFound, rankingsOf, searchSegments } from '../../src/vespa/search.js';
import { EmulatedVespa, packageOf } from '../support/emulatedVespa.js';
import { WordEmbedder } from '../support/memories.js';
import { checkerPresent } from '../support/vespaChecker.js';
import { VespaContainer } from '../support/vespaContainer.js';

const tenant = parseTenantId('acme_corp');
const schemaOf = (base: (typeof BASE_SCHEMAS)[number]) => tenantSchemaName(base, tenant);
const schemas = Object.fromEntries(
  BASE_SCHEMAS.map((base) => [schemaOf(base), generateSd(schemaOf(base), loadSchema(base))]),
);
/** Quotes, operators and marks of YQL: they must stay within their parameter. */
const TEXT = `a "red" car' or true) | all(group(x)) @user_id {} \\`;

/** The emulator answers, so that what is asked next is asked as well; what it was asked is kept. */
describe.runIf(checkerPresent)('every query that the product sends', () => {
  let emulated: EmulatedVespa;
  let container: VespaContainer;
  let asked: Map<string, object>;
  beforeAll(async () => {
    [emulated, container] = await Promise.all([
      EmulatedVespa.start(schemas),
      VespaContainer.start(packageOf(schemas)),
    ]);
    const search = vi.spyOn(emulated.documents, 'search');
    await searchVideos();
    await remember();
    asked = new Map(search.mock.calls.map(([body]) => [JSON.stringify(body), body]));
  }, 300_000);
  afterAll(async () => {
    await emulated?.stop();
    await container?.stop();
  });

  async function searchVideos(): Promise<void> {
    const { documents } = emulated;
    for (const profile of PROFILE_NAMES) {
      const { dimensions } = PROFILES[profile];
      const vectors = async () => [0.5, -0.25].map((value) => new Float32Array(dimensions).fill(value));
      for (const ranking of rankingsOf(profile))
        await searchSegments({
          ...{ documents, schema: schemaOf(profile), profile, ranking, text: TEXT, vectors, dimensions },
          topK: 10,
        });
      await countFound(documents, schemaOf(profile));
    }
  }

  async function remember(): Promise<void> {
    const { documents, configServer } = emulated;
    const memories = new TenantMemories({ documents, configServer, embedder: new WordEmbedder() });
    const schema = schemaOf(MEMORY_SCHEMA);
    const memory = memories.open({ tenant, incarnation: randomUUID() as Incarnation, schema });
    const scopes = [{}, { userId: 'Zoe' }, { userId: 'Zoe', agentId: 'a"b', runId: 'r' }];
    for (let n = 0; n < 3; n++) await memory.add(`${TEXT} ${n}`, { userId: 'Zoe', kind: 'chat' });
    for (const scope of scopes) {
      await memory.search(TEXT, { ...scope, topK: 400 });
      const { cursor } = await memory.list({ userId: 'Zoe', pageSize: 2 });
      await memory.list({ ...scope, pageSize: 2, cursor: cursor! });
    }
    const now = Date.now();
    await memory.removeOlderThan({ kinds: { chat: 5, 'a-b': 7 }, otherwise: 9, expiredAt: now });
    await memory.removeOlderThan({ kinds: { chat: 5 } });
    await memory.removeOlderThan({ otherwise: now + 1000 });
    await memory.clear();
    await memories.close();
  }

  test('is one that Vespa’s container parses, with fields, rankings and inputs of the schema', async () => {
    const refused: string[] = [];
    for (const [text, body] of asked) {
      const refusal = await container.refusalOf(body);
      if (refusal !== undefined) refused.push(`${text.slice(0, 600)}\n  ${refusal}`);
    }
    expect(refused).toEqual([]);
    const rankings = PROFILE_NAMES.flatMap((profile) => rankingsOf(profile));
    expect(asked.size).toBeGreaterThan(rankings.length + PROFILE_NAMES.length + 10);
    process.stderr.write(`${asked.size} queries were put before Vespa's container\n`);
  });

  test.each([
    [
      'a field that is not there',
      { yql: `select * from ${schemaOf(MEMORY_SCHEMA)} where nobody contains "x"` },
    ],
    ['no YQL', { yql: `select * from ${schemaOf(MEMORY_SCHEMA)} where user_id contains` }],
    [
      'an unknown ranking',
      { yql: `select * from ${schemaOf(MEMORY_SCHEMA)} where true`, 'ranking.profile': 'x' },
    ],
  ])('is refused there for %s: were it not looking, the above would prove nothing', async (_, body) => {
    expect(await container.refusalOf({ 'model.restrict': schemaOf(MEMORY_SCHEMA), ...body })).toMatch(
      /^4\d\d: /,
    );
  });
});
