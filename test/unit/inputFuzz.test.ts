import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectSetting, wholeNumber } from '../../src/cli/context.js';
import { backupTenantInput } from '../../src/contracts/backupOperations.js';
import { checkInput } from '../../src/contracts/common.js';
import { configReadInput } from '../../src/contracts/config.js';
import { ingestVideosInput } from '../../src/contracts/ingest.js';
import { addMemoryInput, searchMemoryInput } from '../../src/contracts/memory.js';
import { routeInput } from '../../src/contracts/routing.js';
import { searchInput } from '../../src/contracts/search.js';
import { parseAuditHead } from '../../src/domain/auditHead.js';
import { parseStoreLocation } from '../../src/domain/backupStores.js';
import { parseBackupId, parseStorePath } from '../../src/domain/backups.js';
import { SYSTEM_CONFIG } from '../../src/domain/config/keys.js';
import { OpsError } from '../../src/domain/errors.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import { parseAge, parseKind } from '../../src/domain/memory.js';
import { tenantSchemaName } from '../../src/domain/naming.js';
import { parseFilePath } from '../../src/domain/paths.js';
import { parseBaseSchema, parseProfile } from '../../src/domain/profiles.js';
import { parseRetentionDays } from '../../src/domain/retention.js';
import { parseSource } from '../../src/domain/sources.js';
import { parseTemplateName } from '../../src/domain/templates.js';
import { parseTime } from '../../src/domain/times.js';
import { checkUrl } from '../../src/domain/urlGuard.js';
import { parseCron, parseEvery, parseWatchName } from '../../src/domain/watches.js';
import { checkId, checkScope } from '../../src/memory/input.js';
import { conditionOf } from '../../src/memory/query.js';
import { parseListenAddress } from '../../src/metrics/listenAddress.js';
import { parsePayloadKeys } from '../../src/payloads/keys.js';
import { checkReference } from '../../src/secrets.js';
import { searchSegments } from '../../src/vespa/search.js';

/** Bad inputs over all kinds; the whole set is for a machine with time. */
const SIZE = Number(process.env['CVOPS_FUZZ'] ?? 1_500);
const UUID = '0b8f0c8e-1d2f-4c7a-9b1e-5a6f7c8d9e0f';
const WHOLE = '0123456789abcdef'.repeat(4);

/** What no kind of name, number or address has in it, wherever it stands. */
const POISON = [
  ...['\0', '\n', '\r', '\u001b[2J', ' ', '\t', '\u00a0', '\u200b', '\u202e', '\ufeff', '\u2028', '\ud800'],
  ...[
    "'",
    '"',
    '`',
    ';--',
    '${x}',
    '$(id)',
    '{{x}}',
    '%00',
    '%2e%2e',
    '<!DOCTYPE x>',
    '<x/>',
    ']]>',
    '&amp;',
  ],
  ...[
    ' or true',
    '" or true or title contains "',
    ') or (true',
    'true and not false',
    '\\',
    '|id',
    '٣',
    '１',
    'а',
  ],
];

/** Texts that mean something to somebody else than us. */
const FOREIGN = [
  ...[
    '',
    '*',
    '%',
    '?',
    '-',
    '--',
    '..',
    '.',
    '../../etc/passwd',
    '~',
    'null',
    'undefined',
    'NaN',
    '[object Object]',
  ],
  ...[
    'true',
    'false',
    'all',
    'none',
    'admin',
    'system',
    '__proto__',
    'constructor',
    'toString',
    '0x10',
    '1e3',
    '-1',
  ],
  ...['<schema name="a"/>', 'schema a { document a {} }', 'select * from sources * where true', 'id:x:y::z'],
  ...[
    'acme_corp and true',
    'acme_corp.title == "x"',
    'ACME_CORP',
    'acme__corp',
    '_acme',
    'acme_',
    'acme-corp',
  ],
  ...[
    'http://169.254.169.254',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'data:,x',
    '999999999999999999999',
  ],
];

interface Kind {
  readonly name: string;
  readonly parse: (text: string) => unknown;
  readonly good: string;
  /** Foreign texts and poison that this kind may hold. */
  readonly may?: RegExp;
}

/** Words of this language that the rule of tenant ids takes for names. */
const WORDS = /^(undefined|constructor)$/;
const URLS = { allowedPrivate: [] };
const KINDS: readonly Kind[] = [
  { name: 'tenant id', parse: parseTenantId, good: 'acme_corp', may: WORDS },
  { name: 'operation id', parse: parseOperationId, good: UUID },
  { name: 'incarnation', parse: parseIncarnation, good: UUID },
  { name: 'memory id', parse: checkId, good: UUID },
  { name: 'backup id', parse: parseBackupId, good: '20261101T120000Z-0123abcd' },
  {
    ...{ name: 'place in a store', parse: parseStorePath, good: 'acme_corp/20261101T120000Z-0123abcd' },
    may: /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/,
  },
  { name: 'profile', parse: parseProfile, good: 'video_colpali_smol500_mv_frame' },
  { name: 'base schema', parse: parseBaseSchema, good: 'video_colpali_smol500_mv_frame' },
  { name: 'template', parse: parseTemplateName, good: 'startup_eu', may: /^[a-z][a-z0-9_-]*$/ },
  { name: 'watch', parse: parseWatchName, good: 'cam-1', may: /^[a-z0-9]+([-_][a-z0-9]+)*$/ },
  { name: 'kind of memory', parse: parseKind, good: 'chat', may: /^[a-z][a-z0-9_-]*$/ },
  { name: 'interval', parse: parseEvery, good: '15m' },
  { name: 'age', parse: parseAge, good: '90d' },
  { name: 'days', parse: parseRetentionDays, good: '90' },
  // White space parts its fields.
  { name: 'cron', parse: parseCron, good: '0 3 * * 1-5', may: /^[\s0-9*/,-]*$/ },
  { name: 'whole number', parse: wholeNumber, good: '42' },
  { name: 'time', parse: parseTime, good: '2026-11-01T12:00Z' },
  { name: 'head of the audit log', parse: parseAuditHead, good: `42:${WHOLE}` },
  { name: 'address to listen on', parse: (text) => parseListenAddress(text, 'X'), good: '127.0.0.1:9464' },
  // Keys are parted by white space.
  {
    name: 'payload keys',
    parse: (text) => parsePayloadKeys(text, 'X'),
    good: `k1:${WHOLE}`,
    may: /^k1:[0-9a-f]{64}\s*$|^\s*k1:[0-9a-f]{64}$/,
  },
  { name: 'secret reference', parse: (text) => checkReference(text, 'X'), good: 'env:NAME', may: /^file:/ },
  {
    name: 'URL',
    parse: (text) => checkUrl(text, URLS),
    good: 'https://example.com',
    may: /^https:\/\/[a-z0-9.-]+([/?][^\s#\\]*)?$/,
  },
  { name: 'source', parse: parseSource, good: 's3://bucket', may: /^(\/|list:\/|s3:\/\/[a-z0-9.-]+\/)/ },
  {
    name: 'store of backups',
    parse: parseStoreLocation,
    good: 's3://bucket',
    may: /^(\/|file:\/\/\/|s3:\/\/bucket(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*\/?$)/,
  },
];

const insert = (good: string, poison: string, at: number) => {
  const cut = at % (good.length + 1);
  return good.slice(0, cut) + poison + good.slice(cut);
};
const poison = fc.constantFrom(...POISON);
const bad = (good: string) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(poison, fc.nat(200)).map(([p, at]) => insert(good, p, at)) },
    { weight: 2, arbitrary: fc.constantFrom(...FOREIGN) },
    { weight: 1, arbitrary: fc.constantFrom(...FOREIGN).map((text) => `${good}/${text}`) },
    // Longer than anything may be; a few repeats could be somebody else's good name.
    { weight: 1, arbitrary: fc.nat(500).map((n) => good.repeat(Math.ceil(5_000 / good.length) + n)) },
    // A short text of any characters could be a good one.
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.string({ unit: 'binary', maxLength: 60 }), poison, fc.nat(60))
        .map(([text, p, at]) => insert(text, p, at)),
    },
  );

describe('a bad input', () => {
  it.each(KINDS.map((kind) => [kind.name, kind] as const))(
    'is no %s, and no crash',
    (_, { parse, good, may }) => {
      expect(() => parse(good)).not.toThrow();
      fc.assert(
        fc.property(bad(good), (text) => {
          // A draw may come to be a good one, such as `4` before `42`: then it is taken for what it is and nothing else.
          fc.pre(
            text !== good && may?.test(text) !== true && !(/^[0-9]+$/.test(good) && /^[0-9]+$/.test(text)),
          );
          let taken: unknown;
          try {
            taken = parse(text) ?? true;
          } catch (error) {
            expect(error).toBeInstanceOf(OpsError);
            expect((error as OpsError).type).toBe('InvalidInput');
            return;
          }
          expect.fail(`${JSON.stringify(text.slice(0, 200))} was taken as ${JSON.stringify(taken)}`);
        }),
        { numRuns: Math.ceil(SIZE / (KINDS.length + 4)) },
      );
    },
  );

  it.each([
    undefined,
    null,
    1,
    true,
    {},
    [],
    ['acme_corp'],
    { toString: () => 'acme_corp' },
    new String('acme_corp'),
  ])('of another type is no id: %j', (value) => {
    for (const parse of [parseTenantId, parseOperationId, parseIncarnation, parseBackupId, parseProfile])
      expect(() => parse(value)).toThrow(OpsError);
  });

  it('of a tenant is refused by every contract, and never becomes another tenant', () => {
    const asked = { operation: UUID, principal: 'ann', reason: '' };
    const contracts = [
      [searchInput, { query: 'x', profile: 'video_colpali_smol500_mv_frame', ranking: 'r', topK: 1 }],
      [routeInput, { query: 'x' }],
      [addMemoryInput, { text: 'x', userId: 'u' }],
      [searchMemoryInput, { query: 'x', userId: 'u', topK: 1 }],
      [backupTenantInput, { ...asked, backup: '20261101T120000Z-0123abcd', consistency: 'settled' }],
      [configReadInput, {}],
      [
        ingestVideosInput,
        { ...asked, profile: 'video_colpali_smol500_mv_frame', source: '/x', concurrency: 1 },
      ],
    ] as const;
    const { scope, service, key } = SYSTEM_CONFIG;
    const inputOf = (tenant: string, [contract, rest]: (typeof contracts)[number]) =>
      contract === configReadInput ? { at: { scope, service, key, tenant } } : { ...rest, tenant };
    for (const each of contracts) expect(() => checkInput(each[0], inputOf('acme_corp', each))).not.toThrow();
    fc.assert(
      fc.property(bad('acme_corp'), fc.constantFrom(...contracts), (tenant, each) => {
        fc.pre(tenant !== 'acme_corp' && !WORDS.test(tenant));
        expect(() => checkInput(each[0], inputOf(tenant, each))).toThrow(OpsError);
        expect(() => checkInput(each[0], each[1])).toThrow(OpsError);
      }),
      { numRuns: Math.ceil(SIZE / (KINDS.length + 4)) },
    );
  });

  it('of a setting is an entry by its very name', () => {
    expect(collectSetting('__proto__=1', {})).toEqual(Object.fromEntries([['__proto__', '1']]));
    for (const text of ['', '=', 'x', '=x']) expect(() => collectSetting(text, {})).toThrow(OpsError);
  });

  it.each(['', 'a\0b', 'http://u:p@h/x', 's3://b/x', 'x'.repeat(4097), '\ud800'])(
    'is no path: %j',
    (text) => {
      expect(() => parseFilePath(text)).toThrow(OpsError);
    },
  );

  it.each(['2026-02-30', '2026-13-01', '2026-11-01T25:00Z', '01.11.2026', 'now', '1700000000'])(
    'is no time: %s',
    (text) => {
      expect(() => parseTime(text)).toThrow(OpsError);
    },
  );
});

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
          expect(error).toBeInstanceOf(OpsError);
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
      { numRuns: Math.ceil(SIZE / (KINDS.length + 4)) },
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
          expect(error).toBeInstanceOf(OpsError);
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
      { numRuns: Math.ceil(SIZE / (KINDS.length + 4)) },
    );
  });
});
