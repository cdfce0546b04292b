import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';

/**
 * Every operation's workflow carries these; all are Keyword and must be registered with the server
 * (`temporal operator search-attribute create`; the embedded stack does it). They are stored unencrypted: no secrets.
 */
export const SEARCH_ATTRIBUTES = {
  tenantId: defineSearchAttributeKey('TenantId', SearchAttributeType.KEYWORD),
  operationKind: defineSearchAttributeKey('OperationKind', SearchAttributeType.KEYWORD),
  operationState: defineSearchAttributeKey('OperationState', SearchAttributeType.KEYWORD),
};
