import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Loaded by its path, by workers and into their workflow bundle, where payloads are encrypted: messages and stacks of
 * failures become a payload too.
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
