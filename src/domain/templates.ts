import { OpsError } from './errors.js';
import { quoteForMessage } from './ids.js';

/** The guide's `SystemConfig` fields that a template sets, with their types. */
export interface TemplateValues {
  readonly llm_model: string;
  readonly max_qps: number;
  /** Seconds. */
  readonly cache_ttl: number;
  readonly memory_enabled: boolean;
  readonly optimization_enabled: boolean;
}

export const TEMPLATES: Readonly<Record<string, TemplateValues>> = {
  enterprise: {
    llm_model: 'gpt-4',
    max_qps: 100,
    cache_ttl: 3600,
    memory_enabled: true,
    optimization_enabled: true,
  },
  startup: {
    llm_model: 'gpt-3.5-turbo',
    max_qps: 10,
    cache_ttl: 1800,
    memory_enabled: true,
    optimization_enabled: false,
  },
  trial: {
    llm_model: 'gpt-3.5-turbo',
    max_qps: 5,
    cache_ttl: 600,
    memory_enabled: false,
    optimization_enabled: false,
  },
};

export const DEFAULT_TEMPLATE = 'enterprise';

/** @throws OpsError `InvalidInput` naming the templates */
export function parseTemplate(text: unknown): string {
  if (typeof text === 'string' && Object.hasOwn(TEMPLATES, text)) return text;
  throw new OpsError(
    'InvalidInput',
    `no such template: ${quoteForMessage(text)}`,
    `templates: ${Object.keys(TEMPLATES).join(', ')}`,
  );
}

/**
 * A template with `--set key=value` overrides: the text is read as the type the template gives the key.
 *
 * @throws OpsError `InvalidInput` for an unknown key or a value of the wrong type, by name
 */
export function applyTemplate(template: string, overrides: Readonly<Record<string, string>>): TemplateValues {
  const base = TEMPLATES[parseTemplate(template)]!;
  const values: Record<string, string | number | boolean> = { ...base };
  for (const [key, text] of Object.entries(overrides)) {
    if (!Object.hasOwn(base, key)) {
      throw new OpsError(
        'InvalidInput',
        `no such setting: ${quoteForMessage(key)}`,
        `settings: ${Object.keys(base).join(', ')}`,
      );
    }
    values[key] = parseAs(key, text, values[key]!);
  }
  return values as unknown as TemplateValues;
}

function parseAs(key: string, text: string, like: string | number | boolean): string | number | boolean {
  if (typeof like === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new OpsError('InvalidInput', `${key} is true or false, not ${quoteForMessage(text)}`);
  }
  if (typeof like === 'number') {
    if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
    throw new OpsError(
      'InvalidInput',
      `${key} is a whole number from 1 to 999999999, not ${quoteForMessage(text)}`,
    );
  }
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text;
  throw new OpsError(
    'InvalidInput',
    `${key} is 1 to 200 printable characters without spaces, not ${quoteForMessage(text)}`,
  );
}
