import { OpsError } from '../errors.js';
import { type Rule, isRecord, readShare, readText } from './fields.js';
import type { ConfigKey } from './keys.js';

/** `--set field=value` and `--unset field`, still as text. `confidence_thresholds.llm` names one part of a field. */
export interface ConfigEdits {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

/**
 * The whole value after the edits; it is not checked yet. Texts become the type that the field's rule wants, and an
 * unknown field stays in, to be refused by its name.
 *
 * @throws OpsError `InvalidInput` when a field is set and unset at once
 */
export function applyEdits(
  key: ConfigKey,
  value: Readonly<Record<string, unknown>>,
  { set, unset }: ConfigEdits,
): Record<string, unknown> {
  const twice = unset.find((path) => Object.hasOwn(set, path));
  if (twice !== undefined) throw new OpsError('InvalidInput', `${twice} is both set and unset`);
  // A map, and not assignment: `__proto__` is a name like any other.
  const fields = new Map(Object.entries(value));
  for (const path of unset) {
    const share = shareOf(key, path);
    const shares = share && fields.get(share.field);
    if (share && isRecord(shares)) fields.set(share.field, without(shares, share.name));
    else if (fields.has(path) || !Object.hasOwn(key.fields, path)) {
      if (!fields.delete(path))
        throw new OpsError('InvalidInput', `${JSON.stringify(path)} is not there to unset`);
    }
  }
  for (const [path, text] of Object.entries(set)) {
    const share = shareOf(key, path);
    if (share) {
      const there = fields.get(share.field);
      const others = isRecord(there) ? without(there, share.name) : {};
      fields.set(
        share.field,
        Object.fromEntries([...Object.entries(others), [share.name, readPart(share.rule, text)]]),
      );
    } else {
      fields.set(path, Object.hasOwn(key.fields, path) ? readText(key.fields[path]!.rule, text) : text);
    }
  }
  return Object.fromEntries(fields);
}

function shareOf(
  key: ConfigKey,
  path: string,
): { field: string; name: string; rule: Rule & { kind: 'shares' | 'each' } } | undefined {
  const at = path.indexOf('.');
  const field = path.slice(0, at);
  if (at < 1 || !Object.hasOwn(key.fields, field)) return undefined;
  const { rule } = key.fields[field]!;
  if (rule.kind !== 'shares' && rule.kind !== 'each') return undefined;
  return { field, name: path.slice(at + 1), rule };
}

function readPart(rule: Rule & { kind: 'shares' | 'each' }, text: string): unknown {
  return rule.kind === 'shares' ? readShare(text) : readText(rule.rule, text);
}

function without(record: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
}
