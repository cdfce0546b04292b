import { OpsError } from './errors.js';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** A tenant id that went through {@link parseTenantId}. */
export type TenantId = Brand<string, 'TenantId'>;
/** One life of a tenant id: a UUID. A re-created tenant is a new incarnation. */
export type Incarnation = Brand<string, 'Incarnation'>;
/** A UUID naming one run of a workflow for a tenant; also the row in `operations`. */
export type OperationId = Brand<string, 'OperationId'>;

const TENANT_RULE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
/** Roles and words for everybody, and what programs print where there is nothing: never somebody. */
const RESERVED = new Set([
  ...['admin', 'system', 'all'],
  ...['none', 'null', 'nil', 'nan', 'undefined', 'true', 'false'],
]);
const ANY_UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export const TENANT_ID_RULE =
  'a tenant id is 2 to 48 characters of a-z, 0-9 and single underscores between them, begins with a letter, ' +
  `and is none of ${[...RESERVED].join(', ')}`;

/**
 * The one parser of tenant ids, used at every ingress. Nothing is trimmed, folded or defaulted: a text that is not a
 * tenant id is an error, never another tenant.
 *
 * @throws OpsError `InvalidInput`, naming the rule
 */
export function parseTenantId(text: unknown): TenantId {
  if (
    typeof text === 'string' &&
    text.length >= 2 &&
    text.length <= 48 &&
    TENANT_RULE.test(text) &&
    !RESERVED.has(text)
  ) {
    return text as TenantId;
  }
  throw new OpsError('InvalidInput', `not a tenant id: ${quoteForMessage(text)}`, TENANT_ID_RULE);
}

/** Whether the database takes it for a UUID, of whatever version; lower-case. */
export function isUuid(text: string): boolean {
  return ANY_UUID.test(text);
}

/** @throws OpsError `InvalidInput` when the text is no lower-case UUID */
export function parseIncarnation(text: unknown): Incarnation {
  return parseUuid(text, 'incarnation') as Incarnation;
}

/** @throws OpsError `InvalidInput` when the text is no lower-case UUID */
export function parseOperationId(text: unknown): OperationId {
  return parseUuid(text, 'operation id') as OperationId;
}

function parseUuid(text: unknown, what: string): string {
  if (typeof text === 'string' && UUID.test(text)) return text;
  throw new OpsError(
    'InvalidInput',
    `not an ${what}: ${quoteForMessage(text)}`,
    'it is a UUID in lower case',
  );
}

/** A bad input shown safely: printable ASCII, short, quoted; look-alikes become visible escapes. */
export function quoteForMessage(value: unknown): string {
  if (typeof value !== 'string') return value === undefined ? 'nothing' : `a ${typeof value}`;
  const shown = value.length > 60 ? `${value.slice(0, 57)}...` : value;
  const escaped = JSON.stringify(shown).replace(
    /[^\x20-\x7e]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return value.length > 60 ? `${escaped} (${value.length} characters)` : escaped;
}
