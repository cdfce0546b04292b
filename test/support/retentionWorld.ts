import { activityInfo } from '@temporalio/activity';
import { typedFailures } from '../../activities/failures.js';
import type { PurgeActivities, RetentionActivities } from '../../activities/types.js';
import type { HardDeleteInput, Running } from '../../src/contracts/life.js';
import { OpsError } from '../../src/domain/errors.js';
import type { Incarnation, OperationId, TenantId } from '../../src/domain/ids.js';
import { DAY_MS } from '../../src/domain/retention.js';
import { type TenantState, requireState } from '../../src/domain/states.js';
import { newIncarnation } from './registry.js';

export interface Row {
  readonly tenant: TenantId;
  readonly incarnation: Incarnation;
  state: TenantState;
  purgeAt: number | null;
}

/** What an activity did, and when by the server's clock. */
export interface Deed {
  readonly step: string;
  readonly tenant: string;
  readonly at: number;
  readonly runId: string;
  readonly detail?: unknown;
}

export type WorldActivities = RetentionActivities & PurgeActivities;

/**
 * The registry in memory: the moves of `src/registry/retention.ts` with the same compare-and-set, and stores that are
 * empty at once. Activities can be replaced one by one; what they did is in `deeds`.
 */
export class RetentionWorld {
  readonly rows = new Map<string, Row>();
  readonly deeds: Deed[] = [];
  readonly operations = new Map<OperationId, 'running' | 'completed' | 'failed'>();
  /** Other operations of the tenants that have not ended. */
  running = 0;

  add(tenant: TenantId, state: TenantState, purgeAt: number | null = null): Row {
    const row = { tenant, incarnation: newIncarnation(), state, purgeAt };
    this.rows.set(row.incarnation, row);
    return row;
  }

  did(step: string): Deed[] {
    return this.deeds.filter((deed) => deed.step === step);
  }

  /** Of a notice: days, and how many were left by the server's clock, to the hour. */
  notices(): { days: unknown; left: number }[] {
    return this.did('giveNotice').map(({ at, detail }) => {
      const { days, purgeAt } = detail as { days: number; purgeAt: number };
      return { days, left: Math.round(((purgeAt - at) / DAY_MS) * 24) / 24 };
    });
  }

  activities(replaced: Partial<WorldActivities> = {}): object {
    return typedFailures({ ...this.real(), ...replaced });
  }

  /** The move of `beginPurge`, for a stand-in that does something first. */
  beginPurging({ incarnation, operation, trigger, now }: HardDeleteInput & { readonly now: number }): void {
    const row = this.row(incarnation);
    if (this.operations.has(operation)) return;
    const expired = trigger !== 'expiry' || row.purgeAt === null || row.purgeAt <= now;
    if (row.state !== 'purging' && !(row.state === 'inactive' && expired)) {
      requireState('purgeNow', row.tenant, row.state);
      throw new OpsError('WrongState', `the retention of tenant ${row.tenant} has not ended`);
    }
    this.move(row, 'purging', null);
    this.operations.set(operation, 'running');
  }

  note(step: string, tenant: string, detail?: unknown): void {
    const { currentAttemptScheduledTimestampMs: at, workflowExecution } = activityInfo();
    this.deeds.push({ step, tenant, at, runId: workflowExecution!.runId, detail });
  }

  private row(incarnation: Incarnation): Row {
    return this.rows.get(incarnation)!;
  }

  private move(row: Row, state: TenantState, purgeAt: number | null): void {
    row.state = state;
    row.purgeAt = purgeAt;
  }

  /** An inactive row whose retention has not ended by `now`, else why not. */
  private waiting(incarnation: Incarnation, verb: 'reactivate' | 'extend', now: number): Row {
    const row = this.row(incarnation);
    requireState(verb, row.tenant, row.state);
    if (row.purgeAt! > now) return row;
    throw new OpsError('WrongState', `the retention of tenant ${row.tenant} ended: cannot ${verb}`);
  }

  private real(): WorldActivities {
    const empty = async ({ tenant }: { tenant: TenantId }): Promise<void> => this.note('erase', tenant);
    return {
      beginRetention: async ({ incarnation, purgeAt, begin }) => {
        const row = this.row(incarnation);
        if (this.operations.has(begin!.operation)) return;
        requireState('deactivate', row.tenant, row.state);
        this.move(row, 'inactive', purgeAt);
        this.operations.set(begin!.operation, 'running');
        this.note('beginRetention', row.tenant, { purgeAt });
      },
      pauseSchedules: async ({ tenant }) => {
        this.note('pauseSchedules', tenant);
        return { schedules: 1 };
      },
      resumeSchedules: async ({ tenant, operation }) => {
        this.note('resumeSchedules', tenant);
        this.operations.set(operation, 'completed');
        return { schedules: 1 };
      },
      stopRunning: async ({ tenant, running }: { tenant: TenantId; running: Running }) => {
        this.note('stopRunning', tenant, running);
        return { running: this.running };
      },
      endDeactivation: async ({ tenant, operation }) => {
        this.note('endDeactivation', tenant);
        this.operations.set(operation, 'completed');
      },
      readRetention: async ({ incarnation }) => {
        const { tenant, state, purgeAt } = this.row(incarnation);
        this.note('readRetention', tenant);
        return { state, purgeAt };
      },
      giveNotice: async ({ tenant, days, purgeAt }) => this.note('giveNotice', tenant, { days, purgeAt }),
      reactivate: async ({ incarnation, operation, now }) => {
        if (this.operations.has(operation)) return;
        this.move(this.waiting(incarnation, 'reactivate', now), 'active', null);
        this.operations.set(operation, 'running');
      },
      extendRetention: async ({ incarnation, operation, days, now }) => {
        const row = this.waiting(incarnation, 'extend', now);
        const purgeAt = this.operations.has(operation) ? row.purgeAt! : row.purgeAt! + days * DAY_MS;
        this.move(row, 'inactive', purgeAt);
        this.operations.set(operation, 'completed');
        return { purgeAt };
      },

      beginPurge: async (input) => {
        this.note('beginPurge', input.tenant, { now: input.now, trigger: input.trigger });
        this.beginPurging(input);
        return { state: 'purging' };
      },
      stopCreation: empty,
      stopOperations: async () => ({ stopped: 0, terminated: 0 }),
      drainTraces: empty,
      countStores: async () => ({ things: 0, total: 0 }),
      schemasToPurge: async () => ({ lives: [] }),
      noteSchemasErased: empty,
      eraseTraces: empty,
      eraseSchedules: empty,
      eraseLedger: empty,
      eraseConfiguration: empty,
      readBack: async () => ({ residuals: [] }),
      issueCertificate: async ({ tenant, incarnation, operation }) => {
        this.move(this.row(incarnation), 'purged', null);
        this.operations.set(operation, 'completed');
        this.note('issueCertificate', tenant);
        return { tenant, incarnation, operation, state: 'purged', certificateSha256: '0'.repeat(64) };
      },
      failPurge: async ({ tenant, operation, failure }) => {
        this.operations.set(operation, 'failed');
        this.note('failPurge', tenant, failure);
      },
    };
  }
}
