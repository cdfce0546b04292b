import { upsertSearchAttributes } from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES } from '../src/domain/searchAttributes.js';

/** How the operation stands, for the lists of the Temporal UI. */
export function noteState(state: string): void {
  upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.operationState, value: state }]);
}
