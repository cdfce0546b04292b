import { refuseProblems, recordProblems } from './config/check.js';
import {
  type ConfigContext,
  type Field,
  type Problem,
  isRecord,
  printable,
  readText,
} from './config/fields.js';
import { SYSTEM_CONFIG, type SystemConfig } from './config/keys.js';
import { OpsError } from './errors.js';
import { type TenantId, quoteForMessage } from './ids.js';

/** The fields of the system configuration that a template gives a new tenant. */
export type TemplateValues = Pick<
  SystemConfig,
  'llm_model' | 'max_qps' | 'max_concurrent_videos' | 'cache_ttl' | 'memory_enabled' | 'optimization_enabled'
>;

/** The guide's; operators add their own to the registry. */
export const TEMPLATES: Readonly<Record<string, TemplateValues>> = {
  enterprise: {
    llm_model: 'gpt-4',
    max_qps: 100,
    max_concurrent_videos: 16,
    cache_ttl: 3600,
    memory_enabled: true,
    optimization_enabled: true,
  },
  startup: {
    llm_model: 'gpt-3.5-turbo',
    max_qps: 10,
    max_concurrent_videos: 8,
    cache_ttl: 1800,
    memory_enabled: true,
    optimization_enabled: false,
  },
  trial: {
    llm_model: 'gpt-3.5-turbo',
    max_qps: 5,
    max_concurrent_videos: 4,
    cache_ttl: 600,
    memory_enabled: false,
    optimization_enabled: false,
  },
};

export const DEFAULT_TEMPLATE = 'enterprise';

const { llm_model, max_qps, max_concurrent_videos, cache_ttl, optimization_enabled } = SYSTEM_CONFIG.fields;
/** Here, before there is a tenant, whether it will have memory is still open. */
const memory_enabled: Field = { ...optimization_enabled, about: SYSTEM_CONFIG.fields.memory_enabled.about };
export const TEMPLATE_FIELDS: Readonly<Record<keyof TemplateValues, Field>> = {
  llm_model,
  max_qps,
  max_concurrent_videos,
  cache_ttl,
  memory_enabled,
  optimization_enabled,
};
/** No field of a template is bound to a tenant or a host. */
const NO_TENANT: ConfigContext = { tenant: 'none' as TenantId, memoryEnabled: false, allowedPrivate: [] };

/** @throws OpsError `InvalidInput` naming the rule */
export function parseTemplateName(text: unknown): string {
  if (typeof text === 'string' && /^[a-z][a-z0-9]*([_-][a-z0-9]+)*$/.test(text) && text.length <= 48)
    return text;
  throw new OpsError(
    'InvalidInput',
    `not a template name: ${quoteForMessage(text)}`,
    'it is up to 48 characters of a-z, 0-9 and single - or _ between them, and begins with a letter',
  );
}

export function isBuiltIn(name: string): boolean {
  return Object.hasOwn(TEMPLATES, name);
}

export function templateProblems(value: unknown): Problem[] {
  if (!isRecord(value)) return [{ path: 'values', message: 'is a JSON object of settings' }];
  return recordProblems(TEMPLATE_FIELDS, value, NO_TENANT);
}

/**
 * A template's values with `--set key=value` overrides: each text is read as the type its setting has.
 *
 * @throws OpsError `InvalidInput` naming every unknown setting and every value of the wrong type
 */
export function applyOverrides(
  values: TemplateValues,
  overrides: Readonly<Record<string, string>>,
): TemplateValues {
  const unknown = Object.keys(overrides).filter((name) => !Object.hasOwn(TEMPLATE_FIELDS, name));
  if (unknown.length > 0) {
    throw new OpsError(
      'InvalidInput',
      `no such setting: ${unknown.map(printable).join(', ')}`,
      `settings: ${Object.keys(TEMPLATE_FIELDS).join(', ')}`,
    );
  }
  const read = Object.entries(overrides).map(([name, text]) => [
    name,
    readText(TEMPLATE_FIELDS[name as keyof TemplateValues].rule, text),
  ]);
  const result = { ...values, ...(Object.fromEntries(read) as Partial<TemplateValues>) };
  refuseProblems(templateProblems(result));
  return result;
}
