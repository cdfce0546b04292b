import { OpsError } from '../domain/errors.js';
import type { TenantId } from '../domain/ids.js';
import { type Role, type Verb, VERBS, covers } from '../domain/access.js';

/** Who asks, as a token that was verified says. */
export interface Principal {
  readonly subject: string;
  readonly role: Role;
  /** The one tenant that it has to do with; undefined: all. */
  readonly tenant: TenantId | undefined;
  /** The token's id: what is revoked, and what the audit log names. */
  readonly token: string;
}

/** Why a principal may not do something: for the audit log, and for the person. */
export interface Denial {
  readonly why: string;
  readonly hint: string;
}

/**
 * The one decision of all: role against verb, tenant against tenant. What it says is the same whether there is such a
 * tenant or not.
 *
 * @param tenants those that the call names; none: what belongs to the installation, or a list that the caller narrows to
 *   the principal's own
 * @returns undefined when it may
 */
export function denialOf(
  { role, tenant: own }: Principal,
  verb: Verb,
  tenants: readonly string[],
): Denial | undefined {
  const { least } = VERBS[verb];
  if (!covers(role, least))
    return {
      why: `${verb} needs the role ${least}, not ${role}`,
      hint: `ask an administrator, or for a token: cvops token issue --role ${least}`,
    };
  return own !== undefined && tenants.some((tenant) => tenant !== own) ? notOf(own) : undefined;
}

/** The same of another tenant's things and of what is not there. */
export function notOf(own: TenantId): Denial {
  return {
    why: `a principal of tenant ${own} has no part in this`,
    hint: 'name your own tenant or what is its; for another one ask an administrator of all tenants',
  };
}

export function denied({ why, hint }: Denial): OpsError {
  return new OpsError('PermissionDenied', why, hint);
}
