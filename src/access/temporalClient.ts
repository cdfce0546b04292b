import { randomUUID } from 'node:crypto';
import {
  Client,
  type Connection,
  type CreateScheduleInput,
  type CreateScheduleOutput,
  type Next,
  type ScheduleClientInterceptor,
  type ScheduleDescription,
  type ScheduleOptions,
  type WorkflowClientInterceptor,
} from '@temporalio/client';
import { type DataConverter, type Headers, defaultPayloadConverter } from '@temporalio/common';
import type { NativeConnection } from '@temporalio/worker';
import type { Telemetry } from '../telemetry/telemetry.js';
import { clientInterceptors } from '../telemetry/temporal.js';
import type { Credential } from './credential.js';
import { CREDENTIAL_HEADER } from '../domain/access.js';
import { type Presented, present } from './proofs.js';

export interface ClientParts {
  readonly connection: Connection | NativeConnection;
  readonly namespace: string;
  readonly credential: Credential;
  /** Undefined: what it starts is not traced. */
  readonly telemetry: Telemetry | undefined;
  /** Undefined: payloads are not encrypted. */
  readonly dataConverter: DataConverter | undefined;
}

/** The Temporal client of a process: what it starts, schedules and sends carries who asks. */
export function openTemporalClient(parts: ClientParts): Client {
  const { connection, namespace, credential, telemetry, dataConverter } = parts;
  return new Client({
    connection,
    namespace,
    ...(dataConverter ? { dataConverter } : {}),
    interceptors: {
      workflow: [...(telemetry ? clientInterceptors(telemetry) : []), workflowCredential(credential)],
      schedule: [new ScheduleCredential(credential)],
    },
  });
}

function workflowCredential(credential: Credential): WorkflowClientInterceptor {
  const start = (type: string, { workflowId, args }: { workflowId: string; args?: unknown[] }) =>
    present(credential, { for: 'start', workflow: workflowId, type }, args ?? []);
  const message = (workflow: string, name: string, args: readonly unknown[]) =>
    present(credential, { for: 'message', workflow, name }, args);
  return {
    async startWithDetails(input, next) {
      const headers = withCredential(input.headers, await start(input.workflowType, input.options));
      return next({ ...input, headers });
    },
    async startUpdate(input, next) {
      const shown = await message(input.workflowExecution.workflowId, input.updateName, input.args);
      return next({ ...input, headers: withCredential(input.headers, shown) });
    },
    async startUpdateWithStart(input, next) {
      const { workflowType, workflowStartOptions: options, updateName, updateArgs } = input;
      const shown = await message(options.workflowId, updateName, updateArgs);
      return next({
        ...input,
        workflowStartHeaders: withCredential(input.workflowStartHeaders, await start(workflowType, options)),
        updateHeaders: withCredential(input.updateHeaders, shown),
      });
    },
  };
}

/** What makes a schedule hands its runs a proof for them: they have nobody's credential. */
class ScheduleCredential implements ScheduleClientInterceptor {
  constructor(private readonly credential: Credential) {}

  async create(
    input: CreateScheduleInput,
    next: Next<ScheduleClientInterceptor, 'create'>,
  ): Promise<CreateScheduleOutput> {
    return next({ ...input, headers: withCredential(input.headers, await this.delegation(input.options)) });
  }

  delegation({ scheduleId, action }: Pick<ScheduleOptions, 'scheduleId' | 'action'>): Promise<Presented> {
    const { workflowId, workflowType, args = [] } = action;
    if (workflowId === undefined || typeof workflowType !== 'string')
      throw new Error(`schedule ${scheduleId} names neither workflow id nor type`);
    return present(
      this.credential,
      { for: 'schedule', schedule: scheduleId, workflow: workflowId, type: workflowType },
      args as unknown[],
    );
  }
}

/**
 * Gives a schedule the right to start another action, just before it is given that. The SDK's update takes no headers and
 * keeps those that it found, so it is found with the new ones.
 *
 * @returns to be called by the update with what it found
 */
export async function delegationFor(
  client: Client,
  options: Pick<ScheduleOptions, 'scheduleId' | 'action'>,
): Promise<(found: ScheduleDescription) => void> {
  const ours = client.schedule.options.interceptors.find((each) => each instanceof ScheduleCredential);
  if (ours === undefined) return () => undefined;
  const headers = withCredential({}, await ours.delegation(options));
  const { scheduleId } = options;
  const { schedule } = (await client.schedule.getHandle(scheduleId).describe()).raw;
  const action = schedule?.action?.startWorkflow;
  // Made before there were credentials: its runs are refused, so nothing is lost between this and the update.
  if (schedule && action && !action.header?.fields?.[CREDENTIAL_HEADER]) {
    action.header = { fields: headers };
    const { namespace, identity } = client.options;
    const requestId = randomUUID();
    await client.workflowService.updateSchedule({ namespace, identity, scheduleId, schedule, requestId });
  }
  return ({ raw }) => {
    Object.assign(raw.schedule?.action?.startWorkflow?.header?.fields ?? {}, headers);
  };
}

function withCredential(headers: Headers, shown: Presented): Headers {
  return { ...headers, [CREDENTIAL_HEADER]: defaultPayloadConverter.toPayload(shown) };
}
