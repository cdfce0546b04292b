import { z } from 'zod';
import { baseSchema, incarnation, operationId, principal, profileName, reason, tenantId } from './common.js';
import { templateValues } from './config.js';

/** Input of the workflow `createTenant`. */
export const createTenantInput = z.strictObject({
  tenant: tenantId,
  /** New for each create: what a former life of the id left behind stays invisible. */
  incarnation,
  operation: operationId,
  /** Label only: where the values came from. */
  template: z.string().min(1).max(48),
  /** The template's, overrides applied. */
  values: templateValues,
  profiles: z.array(profileName).min(1),
  /** Names the `vespaApplication` workflow that deploys the schemas. */
  cluster: z.string().min(1),
  /** The operation it is made for: it ends `inactive`, for that restore, or a later one, to open when its data is there. */
  restore: operationId.optional(),
  /** Take a name that was purged a short while ago; an admin's word, and in the audit log. */
  overrideQuarantine: z.boolean().optional(),
  principal,
  reason,
});
export type CreateTenantInput = z.infer<typeof createTenantInput>;

/** Result of `createTenant`, and what `cvops tenant create` answers with. */
export const createTenantResult = z.object({
  tenant: tenantId,
  incarnation,
  state: z.enum(['active', 'inactive']),
  schemas: z.array(z.string()),
  phoenixProject: z.string(),
  operation: operationId,
});
export type CreateTenantResult = z.infer<typeof createTenantResult>;

/**
 * One tenant's wish to `vespaApplication`: base schemas to put into the package or take out of it. The rows of
 * `tenant_schemas` are the truth; a request only names them.
 */
export const schemaChangeRequest = z.strictObject({
  /** The same wish asked twice has the same id and is carried out once. */
  id: z.string().min(1),
  /** Null for schemas that are nobody's. */
  tenant: tenantId.nullable(),
  incarnation: incarnation.nullable(),
  add: z.array(baseSchema),
  remove: z.array(baseSchema),
  /**
   * Physical names that `remove` stands for, as the asker saw them: when the registry names others, or none while the
   * package still has these, the request is refused.
   */
  removeNames: z.array(z.string()).optional(),
  /** Physical names in the package that are nobody's by the registry, to take out on an operator's word. */
  dropUnregistered: z.array(z.string()).optional(),
  /** Workflow that gets the signal `schemasChanged`; absent when the asker used the update and waits for its answer. */
  replyTo: z.string().optional(),
});
export type SchemaChangeRequest = z.infer<typeof schemaChangeRequest>;

export interface SchemaChangeOutcome {
  readonly id: string;
  readonly ok: boolean;
  /** Generation of the application that holds the change; a Vespa session id. */
  readonly generation: number;
  /** Whether a package was activated for it; not when all was there already. */
  readonly changed?: boolean;
  readonly error?: { readonly type: string; readonly message: string };
}

/** Query `status` of `vespaApplication`. */
export interface ApplicationStatus {
  /** Packages activated since this entity began. */
  readonly deploys: number;
  readonly requests: number;
  readonly waiting: number;
  readonly deploying: number;
  readonly generation: number;
}
