import { expect, test } from 'vitest';
import { parseOperationId, parseTenantId } from '../../src/domain/ids.js';
import type { OperationKind, TenantState } from '../../src/domain/states.js';
import { lostFinding } from '../../src/health/lost.js';
import { LOST_AFTER_MS, isAwaited } from '../../src/operations/lost.js';
import type { OperationRow } from '../../src/registry/operations.js';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const tenant = parseTenantId('acme_corp');
const lost = (n: number, since: number) => ({
  row: {
    operation: parseOperationId(`00000000-0000-4000-8000-00000000000${n}`),
    kind: 'backupTenant',
  } as OperationRow,
  why: 'its workflow was terminated',
  since,
});

test('however many are lost, they are one thing that is wrong; the command is for one that may be ended', () => {
  expect(lostFinding([], tenant, NOW)).toEqual([]);
  const [recent, ...others] = [NOW, 0, 0, 0, 0].map((since, n) => lost(n, since));
  const [one] = lostFinding([recent!], tenant, NOW);
  expect(one).toMatchObject({ subject: 'lost', fix: `cvops op show ${recent!.row.operation}` });
  expect(one).not.toHaveProperty('repair');
  const [all, ...more] = lostFinding([recent!, ...others], tenant, NOW);
  expect(more).toEqual([]);
  expect(all).toMatchObject({
    subject: 'lost',
    fix: 'cvops diagnose acme_corp --repair',
    repair: 'end-operations',
  });
  expect(all!.message).toMatch(
    /^5 operations say that they run, and nothing does: .*terminated; and 2 more$/,
  );
  const [shared] = lostFinding([recent!, ...others], null, NOW);
  expect(shared!.fix).toBe(`cvops op cancel ${others[0]!.row.operation}`);
});

test('none is over before the last of its work must have ended', () => {
  const repairs = [LOST_AFTER_MS - 1, LOST_AFTER_MS].map(
    (ago) => lostFinding([lost(1, NOW - ago)], tenant, NOW)[0]!.repair,
  );
  expect(repairs).toEqual([undefined, 'end-operations']);
});

test.each<[OperationKind, TenantState, boolean]>([
  ['createTenant', 'creating', true],
  ['createTenant', 'active', false],
  ['hardDeleteTenant', 'purging', true],
  ['softDeleteTenant', 'inactive', true],
  ['restoreTenant', 'inactive', false],
  ['ingestVideos', 'purging', false],
])('a lost %s of a tenant that is %s is what its state waits for: %s', (kind, state, awaited) => {
  expect(isAwaited({ kind }, state)).toBe(awaited);
});
