import type { Schema } from '../model.js';
import type { FieldValue } from '../store.js';
import { type SchemaIndex, tokenize } from './textIndex.js';
import type { Where } from './yql.js';

type Nearest = Extract<Where, { kind: 'nearest' }>;

/** What a query asks of one document, and the words it brings to each field's bm25. */
export interface Matcher {
  readonly matches: (id: string) => boolean;
  readonly words: ReadonlyMap<string, readonly string[]>;
}

/** A where clause that names what the schema has not; code 4 or 3 as the real one. */
export class MatchError extends Error {}

/**
 * @param nearest the ids that a nearestNeighbor item selects among those that the rest of its conjunction lets through:
 *   filters come first, as with Vespa's pre-filtering, so that a filter takes nothing away from the nearest
 * @throws MatchError
 */
export function buildMatcher(
  where: Where,
  index: SchemaIndex,
  nearest: (item: Nearest, among: (id: string) => boolean) => ReadonlySet<string>,
): Matcher {
  const words = new Map<string, string[]>();
  const note = (field: string, list: readonly string[]) =>
    words.set(field, [...(words.get(field) ?? []), ...list]);
  const build = (node: Where): ((id: string) => boolean) => {
    switch (node.kind) {
      case 'true':
        return () => true;
      case 'false':
        return () => false;
      case 'not': {
        const item = build(node.item);
        return (id) => !item(id);
      }
      case 'and': {
        const items = node.items.filter((item) => item.kind !== 'nearest').map(build);
        const filter = (id: string) => items.every((item) => item(id));
        const near = node.items
          .filter((item) => item.kind === 'nearest')
          .map((item) => nearest(item, filter));
        return near.length === 0 ? filter : (id) => near.every((ids) => ids.has(id));
      }
      case 'or': {
        const items = node.items.map(build);
        return (id) => items.some((item) => item(id));
      }
      case 'rank': {
        // The first decides, the others only bring their words.
        const [first] = node.items.map(build);
        return first!;
      }
      case 'nearest': {
        const ids = nearest(node, () => true);
        return (id) => ids.has(id);
      }
      case 'userInput':
        return userInput(node, index, note);
      case 'contains':
        return contains(node, index, note);
      case 'matches': {
        const pattern = new RegExp(node.pattern, 'i');
        return (id) =>
          values(index, requireField(index.schema, node.field), id).some((v) => pattern.test(textOf(v)));
      }
      case 'in': {
        const field = requireField(index.schema, node.field);
        const wanted = new Set(node.values.map((v) => folded(field, textOf(v))));
        return (id) => values(index, field, id).some((v) => wanted.has(folded(field, textOf(v))));
      }
      case 'compare':
        return compare(node, index);
    }
  };
  return { matches: build(where), words };
}

function userInput(
  node: Extract<Where, { kind: 'userInput' }>,
  index: SchemaIndex,
  note: (field: string, words: readonly string[]) => void,
): (id: string) => boolean {
  const query = tokenize(node.text);
  const fields =
    index.schema.fieldSets.get(node.defaultIndex) ??
    (index.schema.fields.has(node.defaultIndex) ? [node.defaultIndex] : []);
  for (const field of fields) note(field, query);
  const anywhere = (word: string, id: string) => fields.some((field) => index.has(field, word, id));
  if (query.length === 0) return () => false;
  // weakAnd, the default, prunes but matches like `any` when nothing is pruned.
  return node.grammar === 'all'
    ? (id) => query.every((word) => anywhere(word, id))
    : (id) => query.some((word) => anywhere(word, id));
}

function contains(
  node: Extract<Where, { kind: 'contains' }>,
  index: SchemaIndex,
  note: (field: string, words: readonly string[]) => void,
): (id: string) => boolean {
  const fields = index.schema.fieldSets.get(node.field) ?? [node.field];
  const tests = fields.map((name) => {
    const field = requireField(index.schema, name);
    const query = node.words.flatMap(tokenize);
    if (field.index) {
      note(name, query);
      if (node.prefix)
        return (id: string) =>
          values(index, field, id).some((v) =>
            tokenize(textOf(v)).some((word) => word.startsWith(query[0] ?? '')),
          );
      return (id: string) =>
        query.length > 0 &&
        query.every((word) => index.has(name, word, id)) &&
        (query.length === 1 || values(index, field, id).some((v) => phrase(textOf(v), query)));
    }
    // An attribute is matched whole.
    const wanted = folded(field, node.words.join(' '));
    return (id: string) =>
      values(index, field, id).some((v) => {
        const text = folded(field, textOf(v));
        return node.prefix ? text.startsWith(wanted) : text === wanted;
      });
  });
  return (id) => tests.some((test) => test(id));
}

function phrase(text: string, words: readonly string[]): boolean {
  const tokens = tokenize(text);
  return tokens.some((_, i) => words.every((word, k) => tokens[i + k] === word));
}

function compare(node: Extract<Where, { kind: 'compare' }>, index: SchemaIndex): (id: string) => boolean {
  const field = requireField(index.schema, node.field);
  const wanted = typeof node.value === 'boolean' ? Number(node.value) : Number(node.value);
  const text = folded(field, String(node.value));
  const one = (v: FieldValue): boolean => {
    if (typeof v === 'string')
      return node.op === '=' ? folded(field, v) === text : node.op === '!=' && folded(field, v) !== text;
    const x = Number(v);
    switch (node.op) {
      case '=':
        return x === wanted;
      case '!=':
        return x !== wanted;
      case '<':
        return x < wanted;
      case '<=':
        return x <= wanted;
      case '>':
        return x > wanted;
      case '>=':
        return x >= wanted;
    }
  };
  return (id) => values(index, field, id).some(one);
}

function values(index: SchemaIndex, field: { readonly name: string }, id: string): readonly FieldValue[] {
  const value = index.attributes(id).get(field.name);
  if (value === undefined) return [];
  if (Array.isArray(value)) return value as readonly FieldValue[];
  if (value instanceof Map) return [...(value as ReadonlyMap<string, FieldValue>).keys()];
  return [value];
}

function requireField(schema: Schema, name: string) {
  const field = schema.fields.get(name);
  if (field === undefined) throw new MatchError(`Field '${name}' does not exist.`);
  return field;
}

/** Without regard to case, unless the field says otherwise. */
function folded({ cased }: { readonly cased: boolean }, text: string): string {
  return cased ? text : text.toLowerCase();
}

/** Strings and numbers as text; structures, which no term matches, as nothing. */
function textOf(value: FieldValue): string {
  return typeof value === 'object' ? '' : String(value);
}
