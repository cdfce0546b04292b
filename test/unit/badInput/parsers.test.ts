import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectSetting, wholeNumber } from '../../../src/cli/context.js';
import { parseAuditHead } from '../../../src/domain/auditHead.js';
import { parseStoreLocation } from '../../../src/domain/backupStores.js';
import { parseBackupId, parseStorePath } from '../../../src/domain/backups.js';
import { OpsError } from '../../../src/domain/errors.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../../src/domain/ids.js';
import { parseAge, parseKind } from '../../../src/domain/memory.js';
import { parseFilePath } from '../../../src/domain/paths.js';
import { parseBaseSchema, parseProfile } from '../../../src/domain/profiles.js';
import { parseRetentionDays } from '../../../src/domain/retention.js';
import { parseSource } from '../../../src/domain/sources.js';
import { parseTemplateName } from '../../../src/domain/templates.js';
import { parseTime } from '../../../src/domain/times.js';
import { checkUrl } from '../../../src/domain/urlGuard.js';
import { parseCron, parseEvery, parseWatchName } from '../../../src/domain/watches.js';
import { checkId } from '../../../src/memory/input.js';
import { parseListenAddress } from '../../../src/metrics/listenAddress.js';
import { parsePayloadKeys } from '../../../src/payloads/keys.js';
import { checkReference } from '../../../src/secrets.js';
import { BACKUP, NO_TEXTS, UUID, bad, expectRefused, share, shown } from '../../support/badInput/texts.js';

const WHOLE = '0123456789abcdef'.repeat(4);

interface Kind {
  readonly name: string;
  readonly parse: (text: string) => unknown;
  readonly good: string;
  /** Foreign texts and poison that this kind may hold. */
  readonly may?: RegExp;
}

const URLS = { allowedPrivate: [] };
const KINDS: readonly Kind[] = [
  { name: 'tenant id', parse: parseTenantId, good: 'acme_corp', may: /^constructor$/ },
  { name: 'operation id', parse: parseOperationId, good: UUID },
  { name: 'incarnation', parse: parseIncarnation, good: UUID },
  { name: 'memory id', parse: checkId, good: UUID },
  { name: 'backup id', parse: parseBackupId, good: BACKUP },
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
          expectRefused(() => parse(text), text);
        }),
        share(1.2),
      );
    },
  );

  it.each(NO_TEXTS.map((value) => [shown(value), value] as const))(
    'of another type is no id: %s',
    (_, value) => {
      for (const parse of [parseTenantId, parseOperationId, parseIncarnation, parseBackupId, parseProfile])
        expectRefused(() => parse(value), value);
    },
  );

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
