import { z } from 'zod';
import { CONFIG_SCOPES } from '../domain/config/keys.js';
import { type TemplateValues, templateProblems } from '../domain/templates.js';
import { principal, reason, tenantId } from './common.js';

const name = z.string().min(1).max(200);
const version = z.int().min(1).max(2_147_483_647);

/** One configuration of one tenant. */
export const configTarget = z.strictObject({
  tenant: tenantId,
  scope: z.enum(CONFIG_SCOPES),
  service: name,
  key: name,
});

export const configWriteInput = z.strictObject({
  at: configTarget,
  what: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('edits'),
      /** Texts: the rule of the field gives the type. */
      edits: z.strictObject({ set: z.record(name, z.string().max(10_000)), unset: z.array(name).max(100) }),
    }),
    /** The whole value; the domain's rules check it. */
    z.strictObject({ kind: z.literal('value'), value: z.record(z.string(), z.unknown()) }),
    z.strictObject({ kind: z.literal('rollback'), to: version }),
  ]),
  /** 0: the key has no version yet. */
  expectVersion: z.int().min(0).max(2_147_483_647).optional(),
  principal,
  reason,
  dryRun: z.boolean(),
});

/** `limit` absent: all there are. */
export const configHistoryInput = z.strictObject({
  at: configTarget,
  before: version.optional(),
  limit: z.int().min(1).max(1_000_000).optional(),
});

export const configReadInput = z.strictObject({ at: configTarget, version: version.optional() });

/** `from` absent: the version before `to`; `to` absent: the latest. */
export const configDiffInput = z.strictObject({
  at: configTarget,
  from: version.optional(),
  to: version.optional(),
});

/** Values of a template, by the rules of the fields they become. */
export const templateValues = z.custom<TemplateValues>().superRefine((value, context) => {
  for (const { path, message } of templateProblems(value))
    context.addIssue({ code: 'custom', path: [path], message });
});
