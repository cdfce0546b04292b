import { defaultPayloadConverter } from '@temporalio/common';
import {
  CancellationScope,
  type Next,
  type UpdateInput,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptorsFactory,
  patched,
  workflowInfo,
} from '@temporalio/workflow';
import { CREDENTIAL_HEADER, UPDATES } from '../src/domain/access.js';
import { failureRecord, operationFailure } from './failures.js';
import { messages, titled } from './options.js';

/**
 * An update does what it says when the registry has let its sender in. Whom a workflow itself works for is asked with each
 * of its activities, and needs nothing here (`src/access/admission.ts`).
 */
class Inbound implements WorkflowInboundCallsInterceptor {
  async handleUpdate(
    input: UpdateInput,
    next: Next<WorkflowInboundCallsInterceptor, 'handleUpdate'>,
  ): Promise<unknown> {
    const { name, updateId: id, args, headers } = input;
    const isGuarded = UPDATES[workflowInfo().workflowType]?.[name] !== undefined;
    // Runs that began before are a day old at most, or answer to nothing else.
    if (isGuarded && patched('authorize-updates')) {
      const header = headers[CREDENTIAL_HEADER];
      const shown = header ? defaultPayloadConverter.fromPayload(header) : null;
      await CancellationScope.nonCancellable(() =>
        titled(messages.authorizeMessage, name, { name, id, args, shown }),
      ).catch((error: unknown) => {
        throw operationFailure(failureRecord(error));
      });
    }
    return next(input);
  }
}

export const interceptors: WorkflowInterceptorsFactory = () => ({ inbound: [new Inbound()] });
