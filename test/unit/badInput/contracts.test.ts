import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { approvalDecision } from '../../../src/contracts/approvals.js';
import { pruneBackupsInput, scheduledBackupInput } from '../../../src/contracts/backupKeeping.js';
import {
  backupTenantInput,
  drillRestoreInput,
  restoreTenantInput,
  verifyBackupInput,
} from '../../../src/contracts/backupOperations.js';
import { checkInput } from '../../../src/contracts/common.js';
import { configReadInput } from '../../../src/contracts/config.js';
import { checkHealthInput } from '../../../src/contracts/health.js';
import { ingestVideosInput } from '../../../src/contracts/ingest.js';
import { testIsolationInput, verifyIsolationInput } from '../../../src/contracts/isolation.js';
import { hardDeleteInput, retentionInput } from '../../../src/contracts/life.js';
import {
  addMemoryInput,
  clearMemoryInput,
  importMemoryInput,
  listMemoryInput,
  pruneMemoryInput,
  searchMemoryInput,
} from '../../../src/contracts/memory.js';
import { optimizationInput, optimizeTenantInput } from '../../../src/contracts/optimization.js';
import { deploySchemasInput } from '../../../src/contracts/rollout.js';
import { routeInput } from '../../../src/contracts/routing.js';
import { searchInput } from '../../../src/contracts/search.js';
import { createTenantInput } from '../../../src/contracts/tenants.js';
import { watchVideosInput } from '../../../src/contracts/watches.js';
import { WORKFLOWS } from '../../../src/domain/access.js';
import { SYSTEM_CONFIG } from '../../../src/domain/config/keys.js';
import { parseIncarnation, parseOperationId, parseTenantId } from '../../../src/domain/ids.js';
import { inputsOf } from '../../support/access/starts.js';
import {
  BACKUP,
  NO_TEXTS,
  UUID,
  bad,
  badTenant,
  expectRefused,
  share,
  shown,
} from '../../support/badInput/texts.js';

type Input = Readonly<Record<string, unknown>>;

/** What checks the input of each workflow type at its first step. */
const WORKFLOW_CONTRACTS: Readonly<Record<string, z.ZodType>> = {
  createTenant: createTenantInput,
  softDeleteTenant: retentionInput,
  hardDeleteTenant: hardDeleteInput,
  deploySchemas: deploySchemasInput,
  ingestVideos: ingestVideosInput,
  watchVideos: watchVideosInput,
  backupTenant: backupTenantInput,
  verifyBackup: verifyBackupInput,
  restoreTenant: restoreTenantInput,
  drillRestore: drillRestoreInput,
  pruneBackups: pruneBackupsInput,
  scheduledBackup: scheduledBackupInput,
  clearMemory: clearMemoryInput,
  importMemory: importMemoryInput,
  pruneMemory: pruneMemoryInput,
  optimizeTenant: optimizeTenantInput,
  evaluateSpans: optimizationInput,
  annotateSpans: optimizationInput,
  retrainRouting: optimizationInput,
  verifyIsolation: verifyIsolationInput,
  testIsolation: testIsolationInput,
  checkHealth: checkHealthInput,
};
/** Of the installation, and nobody's to start. */
const WITHOUT_INPUT = ['reconcileQuotas', 'reconcileRetention'];

const good = inputsOf({
  ...{
    tenant: parseTenantId('acme_corp'),
    incarnation: parseIncarnation(UUID),
    backup: BACKUP,
    folder: '/x',
  },
  asked: { operation: parseOperationId(UUID), principal: 'ann', reason: '' },
}) as Readonly<Record<string, Input>>;
const contracts = Object.entries(WORKFLOW_CONTRACTS).map(
  ([type, contract]) => [type, contract, good[type]!] as const,
);

/** Texts that the value under a name never is. */
const TEXTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ...{ tenant: badTenant, principalTenant: badTenant },
  ...{ incarnation: bad(UUID), operation: bad(UUID) },
  backup: bad(BACKUP),
  ...{
    profile: bad('video_colpali_smol500_mv_frame'),
    source: fc.constantFrom('', 'x', '../x', 'http://a/b', 's3://', 'a\0'),
  },
  ...{ principal: fc.constantFrom('', 'x'.repeat(201)), reason: fc.constant('x'.repeat(1001)) },
  ...{
    consistency: fc.constantFrom('', 'none', 'Fuzzy', 'constructor'),
    what: fc.constantFrom('', 'all', 'constructor'),
  },
};

/** Values of another kind than a good one; `null` where that may stand for nothing is left out. */
function unlike(name: string, value: unknown): readonly unknown[] {
  if (value === null) return ['x', 7, true];
  const nothing = name === 'tenant' ? [undefined] : [null];
  if (Array.isArray(value)) return [...nothing, 'x', 7, [], [null], ['Not One'], [[value[0]]], { length: 1 }];
  switch (typeof value) {
    case 'string':
      return NO_TEXTS.filter((each) => each !== undefined && (each !== null || name !== 'tenant'));
    case 'number':
      return [...nothing, String(value), NaN, Infinity, -1, 1.5, 2 ** 53, [value], true];
    case 'boolean':
      return [...nothing, String(value), 0, 1, [value]];
    default:
      return [...nothing, 'x', 7, [value]];
  }
}

/** An input with one fault. */
const faulty = (input: Input): fc.Arbitrary<Input> => {
  const names = Object.keys(input);
  const name = fc.constantFrom(...names);
  return fc.oneof(
    {
      weight: 3,
      arbitrary: name.chain((at) =>
        fc.constantFrom(...unlike(at, input[at])).map((value) => ({ ...input, [at]: value })),
      ),
    },
    {
      weight: 4,
      arbitrary: fc
        .constantFrom(...names.filter((at) => at in TEXTS), 'x')
        .chain((at) => (TEXTS[at] ?? fc.string()).map((value) => ({ ...input, [at]: value }))),
    },
    name
      .map((at) => Object.fromEntries(Object.entries(input).filter(([each]) => each !== at)))
      .filter((left) => !isWhole(left, input)),
    fc
      .constantFrom('Tenant', 'tenant_id', 'default', '__proto__', 'constructor')
      .map((more) => Object.fromEntries([...Object.entries(input), [more, 'acme_corp']])),
  );
};
/** Without these it says something else: asked for by one of all tenants, or taken up again. */
const MAY_LACK = ['principalTenant', 'begin'];
const isWhole = (left: Input, input: Input): boolean =>
  MAY_LACK.some((name) => name in input && !(name in left));

describe('an input of a workflow', () => {
  it('has a contract, whatever its type', () => {
    const known = [...Object.keys(WORKFLOW_CONTRACTS), ...WITHOUT_INPUT];
    expect(known.toSorted()).toEqual(Object.keys(WORKFLOWS).toSorted());
  });

  it.each(contracts)('%s: with any one fault is refused', (_, contract, input) => {
    expect(() => checkInput(contract, input)).not.toThrow();
    fc.assert(
      fc.property(faulty(input), (wrong) =>
        expectRefused(() => checkInput(contract, wrong), shown(JSON.stringify(Object.keys(wrong)))),
      ),
      share(1),
    );
  });
});

describe('a bad tenant', () => {
  const place = { scope: SYSTEM_CONFIG.scope, service: SYSTEM_CONFIG.service, key: SYSTEM_CONFIG.key };
  const asked: readonly (readonly [string, z.ZodType, (tenant: unknown) => unknown])[] = [
    ...contracts.flatMap(([type, contract, input]) =>
      'tenant' in input ? [[type, contract, (tenant: unknown) => ({ ...input, tenant })] as const] : [],
    ),
    [
      'search',
      searchInput,
      (tenant) => ({ tenant, query: 'x', profile: 'video_colpali_smol500_mv_frame', ranking: 'r', topK: 1 }),
    ],
    [
      'approval',
      approvalDecision,
      (tenant) => ({ tenant, operation: UUID, grant: true, principal: 'ann', reason: '' }),
    ],
    ['route', routeInput, (tenant) => ({ tenant, query: 'x' })],
    ['memory add', addMemoryInput, (tenant) => ({ tenant, text: 'x', userId: 'u' })],
    ['memory search', searchMemoryInput, (tenant) => ({ tenant, query: 'x', userId: 'u', topK: 1 })],
    ['memory list', listMemoryInput, (tenant) => ({ tenant, userId: 'u' })],
    ['config get', configReadInput, (tenant) => ({ at: { ...place, tenant } })],
  ];

  it('is refused by everything that names one, never another one instead, and none is not a default', () => {
    for (const [, contract, of] of asked) expect(() => checkInput(contract, of('acme_corp'))).not.toThrow();
    const noTenant = fc.oneof({ weight: 5, arbitrary: badTenant }, fc.constantFrom(...NO_TEXTS));
    fc.assert(
      fc.property(noTenant, fc.constantFrom(...asked), (tenant, [what, contract, of]) => {
        // Health of no tenant is that of all.
        fc.pre(tenant !== null || what !== 'checkHealth');
        expectRefused(() => checkInput(contract, of(tenant)), `${what} of ${shown(tenant)}`);
      }),
      share(8),
    );
    for (const [what, contract, of] of asked) {
      const { tenant, ...rest } = of('acme_corp') as { tenant?: string };
      if (tenant !== undefined) expectRefused(() => checkInput(contract, rest), `${what} of nobody`);
    }
  });
});
