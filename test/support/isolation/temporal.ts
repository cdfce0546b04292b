import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  WorkflowNotFoundError,
} from '@temporalio/client';

interface Stored {
  paused: boolean;
  spec: unknown;
}

/** Schedules of one Temporal in memory; no workflow of these tests outlives its step, so none is found. */
export class TemporalStandIn {
  private readonly schedules = new Map<string, Stored>();

  contentOf(scheduleId: string): unknown {
    return this.schedules.get(scheduleId) ?? null;
  }

  /** The few calls that activities make. */
  readonly client = {
    schedule: {
      options: { interceptors: [] },
      create: async ({ scheduleId, spec }: { scheduleId: string; spec: unknown }) => {
        if (this.schedules.has(scheduleId)) throw new ScheduleAlreadyRunning('already there', scheduleId);
        this.schedules.set(scheduleId, { paused: false, spec });
      },
      getHandle: (id: string) => {
        const found = (): Stored => {
          const stored = this.schedules.get(id);
          if (stored === undefined) throw new ScheduleNotFoundError('not there', id);
          return stored;
        };
        return {
          describe: async () => ({ state: { paused: found().paused } }),
          pause: async () => void (found().paused = true),
          unpause: async () => void (found().paused = false),
          update: async (change: (previous: object) => { spec: unknown; state: { paused: boolean } }) => {
            const { spec, paused } = found();
            const next = change({ spec, state: { paused } });
            Object.assign(found(), { spec: next.spec, paused: next.state.paused });
          },
          delete: async () => {
            found();
            this.schedules.delete(id);
          },
        };
      },
    },
    workflow: {
      getHandle: (id: string) => {
        const missing = async (): Promise<never> => {
          throw new WorkflowNotFoundError('not there', id, undefined);
        };
        return { signal: missing, cancel: missing, describe: missing, terminate: missing };
      },
    },
  } as unknown as Client;
}
