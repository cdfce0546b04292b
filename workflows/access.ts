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
  // Not async: of a run that began before, each turn of the event loop must come as it did.
  handleUpdate(
    input: UpdateInput,
    next: Next<WorkflowInboundCallsInterceptor, 'handleUpdate'>,
  ): Promise<unknown> {
    const isGuarded = UPDATES[workflowInfo().workflowType]?.[input.name] !== undefined;
    if (!isGuarded || !patched('authorize-updates')) return next(input);
    return authorized(input).then(() => next(input));
  }
}

/** @throws ApplicationFailure `PermissionDenied` */
async function authorized({ name, updateId: id, args, headers }: UpdateInput): Promise<void> {
  const header = headers[CREDENTIAL_HEADER];
  const shown = header ? defaultPayloadConverter.fromPayload(header) : null;
  try {
    await CancellationScope.nonCancellable(() =>
      titled(messages.authorizeMessage, name, { name, id, args, shown }),
    );
  } catch (error) {
    throw operationFailure(failureRecord(error));
  }
}

export const interceptors: WorkflowInterceptorsFactory = () => ({ inbound: [new Inbound()] });
