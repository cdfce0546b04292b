import { createHash } from 'node:crypto';
import { deniedTo } from '../src/access/ownTenant.js';
import { checkInput } from '../src/contracts/common.js';
import { testIsolationInput } from '../src/contracts/isolation.js';
import { createTenantInput } from '../src/contracts/tenants.js';
import { parseIncarnation, parseTenantId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { PROFILES_OF } from '../src/isolation/leaks.js';
import { proveLeak } from '../src/isolation/selfTest.js';
import { transaction } from '../src/registry/database.js';
import { beginOperation, closeOperation } from '../src/registry/operationLog.js';
import { getOperation } from '../src/registry/operations.js';
import { findTenant } from '../src/registry/tenants.js';
import { OpsError } from '../src/domain/errors.js';
import { TEMPLATES } from '../src/domain/templates.js';
import { mayPass } from './failures.js';
import { heartbeating } from './heartbeat.js';
import type { RoundStores } from '../src/isolation/round.js';
import { waysOf } from '../src/isolation/ways.js';
import type { IsolationTestActivities } from './types.js';

const VERB = 'isolation-test';
const TEMPLATE = 'startup';

export function createIsolationTestActivities(stores: RoundStores): IsolationTestActivities {
  const { pool, drain } = stores;
  return {
    async beginIsolationTest(raw) {
      const { operation, principal, principalTenant, reason, cluster } = checkInput(testIsolationInput, raw);
      if (principalTenant !== undefined) throw deniedTo(principalTenant);
      const digits = operation.replaceAll('-', '').slice(0, 12);
      const tenants = [`isolation_${digits}`, `isolation_${digits}_corp`].map((id) => parseTenantId(id));
      const workflowId = workflowIds.testIsolation(operation);
      await transaction(pool, async (tx) => {
        const row = { operation, tenant: null, incarnation: null, principal, reason, workflowId };
        await beginOperation(tx, { ...row, kind: 'testIsolation', input: { tenants } }, VERB, { tenants });
      });
      const creations = tenants.map((tenant, at) =>
        checkInput(createTenantInput, {
          ...{ tenant, template: TEMPLATE, cluster, principal },
          incarnation: parseIncarnation(uuidOf(operation, tenant, 'life')),
          // Of the creation: the two of them and this are three operations.
          operation: uuidOf(operation, tenant, 'create'),
          values: TEMPLATES[TEMPLATE],
          profiles: at === 0 ? PROFILES_OF.a : PROFILES_OF.b,
          reason: `self-test of isolation ${operation}`,
        }),
      );
      return { creations };
    },

    async proveLeak({ operation, kind, tenants }) {
      return heartbeating(async (signal) => {
        const member = async (tenant: (typeof tenants)[number]) => {
          const row = await findTenant(pool, tenant);
          if (row?.state !== 'active') throw new OpsError('WrongState', `${tenant} is not active`);
          const token = uuidOf(operation, tenant, 'token');
          return { tenant, incarnation: row.incarnation, token };
        };
        const [a, b] = [await member(tenants[0]), await member(tenants[1])];
        const world = { stores, a, b, waysOf: () => waysOf(stores), signal };
        return { kind, ...(await mayPass(proveLeak(kind, world, () => drain.wait(signal)))) };
      });
    },

    async finishIsolationTest({ operation, verdicts }) {
      const { tenants } = (await getOperation(pool, operation)).input as { tenants: [string, string] };
      const missed = verdicts.filter(({ seen }) => !seen).map(({ kind }) => kind);
      const ok = missed.length === 0;
      const state = ok ? 'completed' : 'completed_with_failures';
      const counts = { leaks: verdicts.length, missed: missed.length };
      await closeOperation(pool, operation, VERB, { state, counts }, { ...counts, kinds: missed });
      const [a, b] = tenants;
      const checks = verdicts.map(({ kind, seen, detail }) => ({
        ...{ name: `leak: ${kind}`, a, b, ok: seen },
        detail: seen ? `seen by ${detail}` : detail,
      }));
      return { ok, operation, tenants: 2, pairs: 2, checks, skipped: [] };
    },

    async failIsolationTest({ operation, state, failure }) {
      await closeOperation(pool, operation, VERB, { state, error: failure }, { ...failure });
    },
  };
}

/** The same in every attempt. */
function uuidOf(...names: readonly string[]): string {
  const hex = createHash('sha256').update(JSON.stringify(names)).digest('hex');
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return [
    ...[hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`],
    ...[`${variant}${hex.slice(17, 20)}`, hex.slice(20, 32)],
  ].join('-');
}
