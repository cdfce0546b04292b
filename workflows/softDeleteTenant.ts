import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  ParentClosePolicy,
  allHandlersFinished,
  condition,
  log,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  startChild,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Failure } from '../activities/types.js';
import type {
  ExtendRequest,
  HardDeleteInput,
  RetentionInput,
  RetentionRequest,
  RetentionStatus,
} from '../src/contracts/life.js';
import { type Held, isHeld } from '../src/domain/approvals.js';
import type { OperationId } from '../src/domain/ids.js';
import { workflowIds } from '../src/domain/naming.js';
import { DEFAULT_SECOND_LOOK_SECONDS } from '../src/domain/purge.js';
import { DAY_MS, MAX_HOP_MS, type Retention, dueNotice, nextHop } from '../src/domain/retention.js';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';
import type { TenantState } from '../src/domain/states.js';
import { failureRecord, operationFailure } from './failures.js';
import type { hardDeleteTenant } from './hardDeleteTenant.js';
import { deactivated, extendRetention, purgeNow, reactivate, retentionStatus, wake } from './messages.js';
import { noteState } from './operationState.js';
import { retention as registry, retentionNotices, titled } from './options.js';
import { SecondPerson } from './secondPerson.js';
import { versioned } from './versioning.js';

const DRAIN_POLL_MS = 5_000;
/** How long a purge that could not begin is waited for; doubled each time. */
const PURGE_RETRY_MS = 60_000;
const MAX_PURGE_RETRY_MS = 60 * 60_000;
/** A run that polls for draining operations, or tries to purge, begins anew before its history is long. */
const MAX_HISTORY = 1_000;

/**
 * Deactivates a tenant and waits out its retention. The registry's row is the truth and this only wakes: each run reads
 * it, sleeps a day at most, and continues as new on the newest worker. Whoever moves the row first wins, so a
 * reactivation and an expiry in the same second end wholly as one of the two. The purge is a workflow of its own.
 */
export async function softDeleteTenant(input: RetentionInput): Promise<RetentionStatus> {
  const { tenant, incarnation, cluster } = input;
  const life = { tenant, incarnation };
  let { retention, draining } = input;
  let state: TenantState = input.begin === undefined ? 'inactive' : 'active';
  let ready = false;
  let refused: Failure | undefined;
  let running = 0;
  let woken = false;
  let purge: OperationId | undefined;
  let asked: RetentionRequest | undefined;
  let purgeFailure: Failure | undefined;
  let held: Held['held'] | undefined;

  const status = (): RetentionStatus => ({
    tenant,
    state,
    purgeAt: state === 'inactive' && retention ? new Date(retention.purgeAt).toISOString() : null,
    running,
    purge: purge ?? null,
  });
  /**
   * An update's failure is its caller's, and no fault of this workflow's. A cancellation request, which does not end
   * the wait, must not keep its answers from being given either.
   */
  const answer = <A extends unknown[]>(work: (...args: A) => Promise<Held['held'] | undefined>) => {
    return (...args: A): Promise<RetentionStatus> =>
      CancellationScope.nonCancellable(async () => {
        await condition(() => ready || refused !== undefined || held !== undefined);
        if (refused !== undefined) throw operationFailure(refused);
        const waits = await work(...args).catch((error: unknown) => {
          throw operationFailure(failureRecord(error));
        });
        return { ...status(), ...(waits ? { approval: shown(waits) } : {}) };
      });
  };

  const noRetention = (): Error =>
    operationFailure({
      code: 'WrongState',
      message: `tenant ${tenant} is ${state}: there is no retention to end`,
    });
  const extend = async (request: ExtendRequest): Promise<Held['held'] | undefined> => {
    const extended = await titled(
      registry.extendRetention,
      `${request.days} day(s), by ${request.principal}`,
      { ...request, now: Date.now() },
    );
    if (isHeld(extended)) return extended.held;
    retention = { purgeAt: extended.purgeAt, setAt: Date.now(), noticed: null };
    woken = true;
    return undefined;
  };
  // An extension that waits has no step here: days may go by, and runs with them.
  const second = new SecondPerson(async ({ verb, request }) => {
    if (verb === 'tenant extend') await extend(request as unknown as ExtendRequest);
  });

  setHandler(retentionStatus, status);
  setHandler(wake, () => void (woken = true));
  setHandler(
    deactivated,
    answer(async () => held),
  );
  setHandler(
    reactivate,
    answer(async (request: RetentionRequest) => {
      await titled(registry.reactivate, `by ${request.principal}`, { ...request, now: Date.now() });
      await titled(registry.resumeSchedules, 'those the deactivation paused', {
        ...life,
        operation: request.operation,
      });
      state = 'active';
      woken = true;
      return undefined;
    }),
  );
  setHandler(
    extendRetention,
    answer(async (request: ExtendRequest) => extend(request)),
  );
  setHandler(
    purgeNow,
    answer(async (request: RetentionRequest) => {
      // Of no retention yet, such as of one that waits for consent: remembered, it would end that one at its beginning.
      if (state !== 'inactive') throw noRetention();
      // No step checks it before its purge has its id and principal, which without them would be this workflow's own.
      if (!isAsked(request))
        throw operationFailure({
          code: 'InvalidInput',
          message: 'purgeNow: who asks, and as which operation?',
        });
      asked = request;
      purgeFailure = undefined;
      woken = true;
      await condition(() => purge !== undefined || purgeFailure !== undefined || state !== 'inactive');
      if (purge !== undefined) return undefined;
      throw purgeFailure === undefined ? noRetention() : operationFailure(purgeFailure);
    }),
  );

  const describe = (doing: string): void =>
    setCurrentDetails(
      `**Retention of \`${tenant}\`**: ${doing}\n\n` +
        `- state **${state}**\n` +
        (retention ? `- purge at **${new Date(retention.purgeAt).toISOString()}**\n` : '') +
        (running > 0 ? `- **${running}** operation(s) still running\n` : ''),
    );

  const begin = async ({
    operation,
    principal,
    reason,
    retentionDays,
    running: how,
  }: Begin): Promise<void> => {
    let now = 0;
    const purgeAt = () => now + retentionDays * DAY_MS;
    const key = { ...life, operation };
    const toInactive = (): Promise<Held | undefined> => {
      now = Date.now();
      const summary = `inactive for ${retentionDays} day(s), by ${principal}: ${reason}`;
      return titled(registry.beginRetention, summary, { ...input, purgeAt: purgeAt() });
    };
    await second.agreed(toInactive, (question) => async (wait) => {
      held = question;
      describe(`waits for a second administrator: cvops approval grant ${question.operation}`);
      await wait();
      held = undefined;
    });
    state = 'inactive';
    retention = { purgeAt: purgeAt(), setAt: now, noticed: null };
    draining = { operation, running: how };
    await titled(registry.pauseSchedules, 'all of the tenant', key);
  };

  const drain = async ({ operation, running: how }: Draining): Promise<void> => {
    const key = { ...life, operation };
    ({ running } = await titled(registry.stopRunning, how, { ...key, running: how }));
    if (running > 0) return;
    await titled(registry.endDeactivation, 'nothing runs any more', key);
    draining = undefined;
  };

  /** Runs the purge in a workflow of its own. Whether it may begin is the registry's word, not this one's. */
  const runPurge = async (): Promise<void> => {
    const request = asked;
    const operation = request?.operation ?? (uuid4() as OperationId);
    const args: HardDeleteInput = {
      ...life,
      operation,
      trigger: request ? 'purgeNow' : 'expiry',
      cluster,
      secondLookSeconds: DEFAULT_SECOND_LOOK_SECONDS,
      rehearsal: null,
      principal: request?.principal ?? 'system',
      reason: request?.reason ?? 'the retention has ended',
    };
    describe('purges');
    try {
      const child = await startChild<typeof hardDeleteTenant>('hardDeleteTenant', {
        workflowId: workflowIds.purge(tenant),
        args: [args],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `delete tenant ${tenant} for good`,
        memo: { operation, principal: args.principal, reason: args.reason },
        typedSearchAttributes: [
          { key: SEARCH_ATTRIBUTES.tenantId, value: tenant },
          { key: SEARCH_ATTRIBUTES.operationKind, value: 'hardDeleteTenant' },
          { key: SEARCH_ATTRIBUTES.operationState, value: 'running' },
        ],
      });
      purge = operation;
      await child.result();
      purgeFailure = undefined;
    } catch (error) {
      purge = undefined;
      purgeFailure =
        error instanceof WorkflowExecutionAlreadyStartedError
          ? { code: 'Conflict', message: `tenant ${tenant} is being deleted already` }
          : failureRecord(error);
      log.warn('the purge did not come to its end', { tenant, ...purgeFailure });
    }
    asked = undefined;
  };

  // A cancellation is not the way back: `reactivate` is, and it undoes all of it.
  return CancellationScope.nonCancellable(async () => {
    if (input.begin !== undefined) {
      try {
        await begin(input.begin);
      } catch (error) {
        refused = failureRecord(error);
        await condition(allHandlersFinished);
        throw operationFailure(refused);
      }
    }
    let failedPurges = 0;
    for (;;) {
      if (draining) await drain(draining);
      // Before the look: what comes during it, or during a notice that is hard to give, is looked at next.
      woken = false;
      const seen = await titled(registry.readRetention, 'the truth about it', life);
      state = seen.state;
      if (seen.state === 'inactive' && retention?.purgeAt !== seen.purgeAt)
        retention = { purgeAt: seen.purgeAt!, setAt: Date.now(), noticed: null };
      if (!ready) noteState('waiting');
      ready = true;
      if (seen.state !== 'inactive' || retention === undefined) break;

      retention = await notice(retention, life);
      if (asked !== undefined || Date.now() >= retention.purgeAt) {
        woken = false;
        await runPurge();
        if (purgeFailure === undefined) continue;
        const pause = Math.min(MAX_PURGE_RETRY_MS, PURGE_RETRY_MS * 2 ** failedPurges++);
        const { state: now } = await titled(registry.readRetention, 'after a purge that failed', life);
        state = now;
        if (now !== 'inactive') break;
        describe(`could not purge (${purgeFailure.message}); tries again`);
        await condition(() => woken, pause);
      } else {
        describe(draining ? 'waits for operations to end' : 'waits');
        const hop = nextHop(retention, Date.now());
        await condition(() => woken, draining ? Math.min(DRAIN_POLL_MS, hop) : hop, {
          summary: `purge at ${new Date(retention.purgeAt).toISOString()}`,
        });
      }
      const { historyLength, runStartTime } = workflowInfo();
      const young = historyLength < MAX_HISTORY && Date.now() - runStartTime.getTime() < MAX_HOP_MS;
      if ((woken || draining || failedPurges > 0) && young) continue;
      // A handler at work would be lost with the run, and one that asked for the purge waits for this very run.
      await condition(() => asked !== undefined || allHandlersFinished());
      if (asked !== undefined) continue;
      const continueSelf = makeContinueAsNewFunc<typeof softDeleteTenant>({
        initialVersioningBehavior: 'AUTO_UPGRADE',
      });
      await continueSelf({
        version: 1,
        ...life,
        cluster,
        retention,
        ...(draining ? { draining } : {}),
      });
    }
    if (draining)
      await titled(registry.endDeactivation, 'the tenant moved on', {
        ...life,
        operation: draining.operation,
      });
    await condition(allHandlersFinished);
    describe('is over');
    // A purge that was refused because somebody was faster is no failure of the retention.
    const failed = purgeFailure !== undefined && state === 'purging';
    noteState(failed ? 'failed' : 'completed');
    return status();
  });
}
versioned('AUTO_UPGRADE', softDeleteTenant);

function shown({ operation, expiresAt }: Held['held']): NonNullable<RetentionStatus['approval']> {
  return { operation, expiresAt: new Date(expiresAt).toISOString() };
}

/** Whoever sends it, an update's argument may be anything. */
function isAsked(request: Partial<Record<keyof RetentionRequest, unknown>> | null | undefined): boolean {
  const { operation, principal, reason } = request ?? {};
  return [operation, principal, reason].every((each) => typeof each === 'string');
}

type Begin = NonNullable<RetentionInput['begin']>;
type Draining = NonNullable<RetentionInput['draining']>;

/** Gives the notice that is due, if any. An endpoint that does not take it holds nothing up. */
async function notice(
  retention: Retention,
  life: Pick<RetentionInput, 'tenant' | 'incarnation'>,
): Promise<Retention> {
  const days = dueNotice(retention, Date.now());
  if (days === undefined) return retention;
  try {
    await titled(retentionNotices.giveNotice, `${days} day(s) before the purge`, {
      ...life,
      purgeAt: retention.purgeAt,
      days,
    });
  } catch (error) {
    log.error('notice given up', { tenant: life.tenant, days, error: failureRecord(error).message });
  }
  return { ...retention, noticed: days };
}
