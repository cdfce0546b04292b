import { quoteForMessage, type TenantId } from '../ids.js';
import { readUrl } from '../urlGuard.js';

/** What a field's value may be. Bounds are inclusive. */
export type Rule =
  | { readonly kind: 'integer'; readonly min: number; readonly max: number; readonly unit?: string }
  | { readonly kind: 'boolean' }
  /** Printable ASCII without spaces, 1 to 200 characters. */
  | { readonly kind: 'text' }
  | { readonly kind: 'choice'; readonly of: readonly string[] }
  /** A list of some of them, each once, at least one. */
  | { readonly kind: 'subset'; readonly of: readonly string[] }
  /** An object from some of them to numbers from 0 to 1. */
  | { readonly kind: 'shares'; readonly of: readonly string[] }
  /** An object from some of them to values of another rule. */
  | { readonly kind: 'each'; readonly of: readonly string[]; readonly rule: Rule }
  | { readonly kind: 'url' }
  /**
   * `env:NAME` or `file:/PATH`; never a secret itself. `sentTo` is the field with the URL that it is sent to; of a part of an
   * `each`, the field that has it under the same name.
   */
  | { readonly kind: 'secret'; readonly sentTo: string }
  /** Decided elsewhere: the tenant's own value and no other. */
  | {
      readonly kind: 'fixed';
      readonly value: (tenant: ConfigContext) => string | boolean;
      readonly why: string;
    };

export interface Field {
  readonly rule: Rule;
  readonly required: boolean;
  readonly about: string;
}

/** What the rules must know of the tenant and of the installation. */
export interface ConfigContext {
  readonly tenant: TenantId;
  readonly memoryEnabled: boolean;
  /** As {@link UrlGuardOptions.allowedPrivate}. */
  readonly allowedPrivate: readonly string[];
}

export interface Problem {
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

/** What is wrong with one field's value; messages follow the path as `max_qps is …`. */
export function fieldProblems(path: string, rule: Rule, value: unknown, context: ConfigContext): Problem[] {
  const refuse = (message: string, hint?: string): Problem[] => [
    { path, message, ...(hint === undefined ? {} : { hint }) },
  ];
  const unlike = (what: string) => refuse(`is ${what}, not ${shown(value)}`);
  switch (rule.kind) {
    case 'integer': {
      const fits = Number.isInteger(value) && (value as number) >= rule.min && (value as number) <= rule.max;
      const unit = rule.unit === undefined ? '' : ` of ${rule.unit}`;
      return fits ? [] : unlike(`a whole number${unit} from ${rule.min} to ${rule.max}`);
    }
    case 'boolean':
      return typeof value === 'boolean' ? [] : unlike('true or false');
    case 'text':
      return typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value)
        ? []
        : unlike('1 to 200 printable characters without spaces');
    case 'choice':
      return rule.of.includes(value as string) ? [] : unlike(`one of ${rule.of.join(', ')}`);
    case 'subset':
      return isSubset(value, rule.of) ? [] : unlike(`a list of some of ${rule.of.join(', ')}, each once`);
    case 'shares':
      return isRecord(value)
        ? shareProblems(path, rule.of, value)
        : unlike('an object of numbers from 0 to 1');
    case 'each':
      return isRecord(value)
        ? Object.entries(value).flatMap(([name, inner]) =>
            rule.of.includes(name)
              ? fieldProblems(`${path}.${name}`, rule.rule, inner, context)
              : [notAmong(path, name, rule.of)],
          )
        : unlike('an object');
    case 'url': {
      if (typeof value !== 'string') return unlike('a URL');
      const read = readUrl(value, context);
      if (!(read instanceof URL)) return refuse(`is refused: ${read.reason}`, read.hint);
      // A query is where an API key would hide.
      return read.search === '' ? [] : refuse('is refused: it has a query');
    }
    case 'secret':
      return isSecretReference(value)
        ? []
        : refuse('is a reference env:NAME or file:/PATH, never the secret itself');
    case 'fixed': {
      const wanted = rule.value(context);
      return value === wanted ? [] : refuse(`stays ${shown(wanted)}: ${rule.why}`);
    }
  }
}

/**
 * A text of `--set field=value` as the type its rule wants. What cannot be read so is left as it is, for
 * {@link fieldProblems} to refuse in its own words.
 */
export function readText(rule: Rule, text: string): unknown {
  switch (rule.kind) {
    case 'integer':
      return /^(0|-?[1-9][0-9]{0,14})$/.test(text) ? Number(text) : text;
    case 'boolean':
      return readBoolean(text);
    case 'subset':
      return text.split(',');
    case 'shares':
    case 'each':
      return readObject(text);
    case 'fixed':
      return readBoolean(text);
    default:
      return text;
  }
}

/** A number from 0 to 1 as `--set confidence_thresholds.llm=0.6` gives it. */
export function readShare(text: string): unknown {
  return /^[0-9]{1,3}(\.[0-9]{1,15})?$/.test(text) ? Number(text) : text;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shareProblems(
  path: string,
  of: readonly string[],
  value: Readonly<Record<string, unknown>>,
): Problem[] {
  return Object.entries(value).flatMap(([name, share]): Problem[] => {
    if (!of.includes(name)) return [notAmong(path, name, of)];
    if (typeof share === 'number' && share >= 0 && share <= 1) return [];
    return [{ path: `${path}.${name}`, message: `is a number from 0 to 1, not ${shown(share)}` }];
  });
}

function notAmong(path: string, name: string, of: readonly string[]): Problem {
  return { path: `${path}.${printable(name)}`, message: `is for none of ${of.join(', ')}` };
}

function isSubset(value: unknown, of: readonly string[]): boolean {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    new Set(value).size === value.length &&
    value.every((item) => of.includes(item as string))
  );
}

function isSecretReference(value: unknown): boolean {
  return (
    typeof value === 'string' && /^(env:[A-Za-z_][A-Za-z0-9_]{0,199}|file:\/[\x21-\x7e]{1,1000})$/.test(value)
  );
}

function readBoolean(text: string): unknown {
  return text === 'true' || text === 'false' ? text === 'true' : text;
}

function readObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A name from outside in a path: plain when it is plain, else quoted. */
export function printable(name: string): string {
  return /^[A-Za-z0-9_.-]{1,60}$/.test(name) ? name : quoteForMessage(name);
}

function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty list' : `[${value.map(shown).join(', ')}]`.slice(0, 200);
  return typeof value === 'object' ? 'an object' : quoteForMessage(value);
}
