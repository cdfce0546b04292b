import { ApplicationFailure, defaultPayloadConverter } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { TENANT_HEADER } from '../domain/operationMarks.js';
import type { FailureType } from '../domain/errors.js';
import type { Gate } from './gate.js';

const DENIED: FailureType = 'PermissionDenied';

/**
 * Lets each activity of a worker pass the gate first.
 *
 * @param toFailure what an expected failure becomes for Temporal
 */
export function gateInterceptors(
  gate: Gate,
  toFailure: (error: unknown) => unknown,
): ActivityInterceptorsFactory {
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        const { activityType: activity, workflowExecution: run } = info;
        const header = input.headers[TENANT_HEADER];
        const tenant = header ? String(defaultPayloadConverter.fromPayload(header)) : undefined;
        await gate.check({ activity, run, args: input.args, tenant }).catch((error: unknown) => {
          throw toFailure(error);
        });
        try {
          return await next(input);
        } catch (error) {
          if (error instanceof ApplicationFailure && error.type === DENIED)
            await gate.noteDenied({ activity, run }, error.message);
          throw error;
        }
      },
    },
  });
}
