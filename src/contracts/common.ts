import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import {
  type Incarnation,
  type OperationId,
  type TenantId,
  parseIncarnation,
  parseOperationId,
  parseTenantId,
} from '../domain/ids.js';
import { BASE_SCHEMAS, PROFILE_NAMES } from '../domain/profiles.js';

/** zod faces of the domain's parsers: the rule lives there, once. */
export const tenantId = z.custom<TenantId>((value) => accepts(parseTenantId, value), 'not a tenant id');
export const incarnation = z.custom<Incarnation>(
  (value) => accepts(parseIncarnation, value),
  'not an incarnation',
);
export const operationId = z.custom<OperationId>(
  (value) => accepts(parseOperationId, value),
  'not an operation id',
);
export const profileName = z.enum(PROFILE_NAMES);
export const baseSchema = z.enum(BASE_SCHEMAS);

/** Who asks; a subject that the audit log and the operation row carry. */
export const principal = z.string().min(1).max(200);
/** Why, in the caller's words; stored in the audit log. */
export const reason = z.string().max(1000);

/** What a tenant's user asks, in any words: text that every store and JSON can hold. */
export const queryText = z
  .string()
  .min(1)
  .max(4000)
  .refine(
    // eslint-disable-next-line no-control-regex -- what no keyboard types ends a text in one program and not in the next
    (text) => text.isWellFormed() && !/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text),
    'holds control characters or half of a surrogate pair',
  );

/** Whether one of the domain's parsers takes a value. */
export function accepts(parse: (value: unknown) => unknown, value: unknown): boolean {
  try {
    parse(value);
    return true;
  } catch (error) {
    if (error instanceof OpsError) return false;
    throw error;
  }
}

/**
 * Checks an input against its contract at an ingress.
 *
 * @throws OpsError `InvalidInput` naming each offending key
 */
export function checkInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'input'}: ${issue.message}`);
  throw new OpsError('InvalidInput', problems.join('; '));
}
