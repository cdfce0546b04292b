import { activityInfo, heartbeat, log } from '@temporalio/activity';
import { deniedTo, requireOwnTenant } from '../src/access/ownTenant.js';
import { checkInput } from '../src/contracts/common.js';
import {
  type IsolationCheck,
  scheduledIsolationInput,
  verifyIsolationInput,
} from '../src/contracts/isolation.js';
import { OpsError } from '../src/domain/errors.js';
import type { Incarnation, TenantId } from '../src/domain/ids.js';
import { greenOf, summed } from '../src/isolation/checks.js';
import { type Call, type RoundStores, lookAll, plantAll, removeAll, settle } from '../src/isolation/round.js';
import { type Queryable, transaction } from '../src/registry/database.js';
import {
  enrol,
  findingsOf,
  forgetMembers,
  claimLeftovers,
  membersOf,
  plantedMembers,
  skippedMembers,
} from '../src/registry/isolation.js';
import { beginOperation, closeOperation, endOperation } from '../src/registry/operationLog.js';
import { getOperation } from '../src/registry/operations.js';
import { requireTenant } from '../src/registry/tenants.js';
import { mayPass } from './failures.js';
import { heartbeating } from './heartbeat.js';
import type { IsolationActivities } from './types.js';

const VERB = 'isolation-verify';
const MAX_CHECKS = 100;
const MAX_SKIPPED = 50;
const MAX_LEFTOVERS = 1000;
const SCHEDULED = {
  ...{ principal: 'schedule:isolation', reason: 'daily verification of isolation' },
  tenants: 'all' as const,
};

export function createIsolationActivities(stores: RoundStores): IsolationActivities {
  const { pool } = stores;

  return {
    async beginIsolation({ operation, workflowId, ...raw }) {
      const input =
        'principal' in raw
          ? checkInput(verifyIsolationInput, { ...raw, operation })
          : { ...checkInput(scheduledIsolationInput, raw), ...SCHEDULED };
      const { principal, reason, tenants } = input;
      if ('principalTenant' in input) requireAllTenants(input.principalTenant, tenants);
      return transaction(pool, async (tx) => {
        const named = tenants === 'all' ? undefined : await livesOf(tx, tenants);
        const row = { operation, tenant: null, incarnation: null, principal, reason, workflowId };
        if (await beginOperation(tx, { ...row, kind: 'verifyIsolation', input: { tenants } }, VERB))
          await forgetMembers(tx);
        const members = await enrol(tx, operation, named);
        if (named !== undefined && members < named.length)
          throw new OpsError('WrongState', 'one of them is a throw-away tenant of a self-test');
        return { members };
      });
    },

    async removeLeftovers({ operation }) {
      return round(async (call) => {
        const left = await claimLeftovers(pool, operation, MAX_LEFTOVERS);
        const failed = await removeAll(stores, left, call);
        for (const { member, error } of failed)
          log.warn('canaries are left', { tenant: member.tenant, error: String(error) });
        return { tenants: left.length - failed.length };
      });
    },

    async plantCanaries(page) {
      return round(async (call) => ({ planted: await plantAll(stores, await membersOf(pool, page), call) }));
    },

    async lookForCanaries({ each, ...page }) {
      return round(async (call) => {
        const everybody = await plantedMembers(pool, page.operation);
        const looking = everybody.filter(({ item }) => item >= page.from && item <= page.to);
        const ways: Record<string, number> = {};
        const checks: IsolationCheck[] = [];
        let [tenants, pairs] = [0, 0];
        await lookAll(
          stores,
          looking,
          everybody,
          (member, others, look) => {
            tenants++;
            pairs += others.length;
            for (const way of look.ways) ways[way] = (ways[way] ?? 0) + others.length;
            if (each) checks.push(...greenOf(member, others, look));
          },
          call,
        );
        return { tenants, pairs, ways, checks };
      });
    },

    async removeCanaries(page) {
      await round(async (call) => {
        const planted = (await membersOf(pool, page)).filter(({ state }) => state === 'planted');
        await settle(stores, planted, await removeAll(stores, planted, call), call);
      });
    },

    async finishIsolation({ operation, tenants, pairs, ways, checks }) {
      const { findings, byName } = await findingsOf(pool, operation, MAX_CHECKS);
      const skipped = await skippedMembers(pool, operation);
      const named = (await getOperation(pool, operation)).input['tenants'] !== 'all';
      if (named && skipped[0]) throw notChecked(skipped[0]);
      const failed = [...byName.values()].reduce((sum, count) => sum + count, 0);
      const ok = failed === 0;
      await transaction(pool, async (tx) => {
        const state = ok ? 'completed' : 'completed_with_failures';
        const counts = { tenants, pairs, failed, skipped: skipped.length };
        const some = findings.slice(0, 5).map(({ name, a, b }) => ({ name, a, b }));
        await endOperation(tx, operation, VERB, { state, counts }, { ...counts, findings: some });
      });
      const red = findings.map((finding) => ({ ...finding, ok: false }));
      return {
        ...{ ok, operation, tenants, pairs },
        checks: [...red, ...(named ? checks : summed(ways, byName))],
        skipped: skipped.slice(0, MAX_SKIPPED),
      };
    },

    async failIsolation({ operation, state, failure }) {
      await closeOperation(pool, operation, VERB, { state, error: failure }, { ...failure });
    },
  };
}

function round<T>(work: (call: Call) => Promise<T>): Promise<T> {
  return heartbeating((signal) =>
    mayPass(work({ signal, onTenant: () => heartbeat(), attempt: activityInfo().attempt })),
  );
}

/** @throws OpsError `PermissionDenied`: whoever has to do with one tenant cannot look at another */
function requireAllTenants(own: TenantId | undefined, tenants: 'all' | readonly TenantId[]): void {
  if (tenants !== 'all') requireOwnTenant(own, ...tenants);
  else if (own !== undefined) throw deniedTo(own);
}

/** @throws OpsError `NotFound`, `WrongState`, `InvalidInput` */
async function livesOf(db: Queryable, [a, b]: readonly [TenantId, TenantId]): Promise<Incarnation[]> {
  if (a === b)
    throw new OpsError('InvalidInput', 'isolation is between two tenants', 'name two, or none for all');
  const rows = [await requireTenant(db, a, 'verifyIsolation'), await requireTenant(db, b, 'verifyIsolation')];
  return rows.map(({ incarnation }) => incarnation);
}

function notChecked({ tenant, why }: { readonly tenant: string; readonly why: string }): OpsError {
  return new OpsError('WrongState', `${tenant} could not be checked: ${why}`, 'verify them again');
}
