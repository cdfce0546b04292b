import { isRecord } from './fields.js';

/** `from` is absent for what was added, `to` for what was removed. */
export interface ConfigChange {
  /** A field, or one entry of an object in it: `confidence_thresholds.llm`. */
  readonly path: string;
  readonly from?: unknown;
  readonly to?: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/** What changed from one value to another, by path, in order of the paths. Lists change as a whole. */
export function diffConfig(from: Fields, to: Fields): ConfigChange[] {
  return changes('', from, to).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function changes(prefix: string, from: Fields, to: Fields): ConfigChange[] {
  const names = new Set([...Object.keys(from), ...Object.keys(to)]);
  return [...names].flatMap((name): ConfigChange[] => {
    const path = `${prefix}${name}`;
    const [was, is] = [Object.hasOwn(from, name), Object.hasOwn(to, name)];
    const [a, b] = [from[name], to[name]];
    if (!was) return [{ path, to: b }];
    if (!is) return [{ path, from: a }];
    if (isRecord(a) && isRecord(b)) return changes(`${path}.`, a, b);
    return same(a, b) ? [] : [{ path, from: a, to: b }];
  });
}

function same(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (isRecord(a) && isRecord(b)) return changes('', a, b).length === 0;
  return Object.is(a, b);
}
