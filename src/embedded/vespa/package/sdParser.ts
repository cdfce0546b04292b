import type { Field, FieldType, RankProfile, Schema, TensorType } from '../model.js';

/** A statement of a schema file: `head`, `head: value`, or `head { … }`. */
interface Node {
  readonly head: string;
  readonly value?: string;
  readonly body?: readonly Node[];
  /** The text between the braces, for expressions. */
  readonly raw?: string;
}

/** A schema file that cannot be read; the message goes into the config server's answer. */
export class SchemaError extends Error {}

/** Reads one `.sd` file: as much of the language as deployed schemas use. @throws SchemaError */
export function parseSd(text: string, file: string): Schema & { readonly documentName: string } {
  const reader = new Reader(text.replace(/^\s*#.*$/gm, ''), file);
  const [root] = reader.nodes();
  const name = /^(?:schema|search)\s+(\S+)/.exec(root?.head ?? '')?.[1];
  if (root?.body === undefined || name === undefined)
    throw new SchemaError(`Could not parse schema file '${file}': no schema definition`);
  const document = root.body.find((node) => node.head.startsWith('document ') || node.head === 'document');
  if (document?.body === undefined) throw new SchemaError(`Schema '${name}' has no document definition`);

  const fields = new Map<string, Field>();
  for (const node of [...document.body, ...root.body]) {
    if (!node.head.startsWith('field ')) continue;
    const field = readField(node, name);
    if (fields.has(field.name))
      throw new SchemaError(
        `For schema '${name}': Duplicate (case insensitively) field '${field.name}' in document type '${name}'`,
      );
    fields.set(field.name, field);
  }
  const fieldSets = new Map<string, readonly string[]>();
  for (const node of root.body.filter((n) => n.head.startsWith('fieldset '))) {
    const set = node.head.slice('fieldset '.length).trim();
    const members = (node.body?.find((n) => n.head === 'fields')?.value ?? '')
      .split(',')
      .map((f) => f.trim());
    const unknown = members.find((field) => !fields.has(field));
    if (unknown !== undefined)
      throw new SchemaError(`For schema '${name}': Field set '${set}' contains unknown field '${unknown}'`);
    fieldSets.set(set, members);
  }
  const own = new Map<string, RankProfile>();
  for (const node of root.body.filter((n) => n.head.startsWith('rank-profile '))) {
    const profile = readRankProfile(node, name);
    if (own.has(profile.name))
      throw new SchemaError(`For schema '${name}': rank-profile '${profile.name}' is already defined`);
    own.set(profile.name, profile);
  }
  return {
    name,
    documentName: document.head.split(/\s+/)[1] ?? name,
    fields,
    fieldSets,
    rankProfiles: resolveProfiles(own, name),
  };
}

const BASE_PROFILE: Omit<RankProfile, 'name'> = {
  inherits: [],
  inputs: new Map(),
  functions: new Map(),
  constants: new Map(),
  summaryFeatures: [],
  matchFeatures: [],
};

function resolveProfiles(own: ReadonlyMap<string, RankProfile>, schema: string): Map<string, RankProfile> {
  const done = new Map<string, RankProfile>([
    ['default', { ...BASE_PROFILE, name: 'default', firstPhase: 'nativeRank' }],
    ['unranked', { ...BASE_PROFILE, name: 'unranked', firstPhase: '0' }],
  ]);
  const resolve = (name: string, path: readonly string[]): RankProfile => {
    const profile = own.get(name);
    if (profile === undefined) {
      const builtIn = done.get(name);
      if (builtIn) return builtIn;
      throw new SchemaError(
        `For schema '${schema}', rank-profile '${path.at(-1)}': rank-profile '${name}' does not exist`,
      );
    }
    if (path.includes(name))
      throw new SchemaError(
        `For schema '${schema}': There is a cycle in the inheritance for rank-profile '${name}'`,
      );
    const parents = profile.inherits.map((parent) => resolve(parent, [...path, name]));
    const merged = <V>(pick: (p: RankProfile) => ReadonlyMap<string, V>) =>
      new Map([...parents, profile].flatMap((p) => [...pick(p)]));
    const last = <V>(pick: (p: RankProfile) => V | undefined) =>
      [...parents, profile].map(pick).findLast((v) => v !== undefined);
    const first = last((p) => p.firstPhase);
    const second = last((p) => p.secondPhase);
    return {
      ...profile,
      inputs: merged((p) => p.inputs),
      functions: merged((p) => p.functions),
      constants: merged((p) => p.constants),
      ...(first === undefined ? {} : { firstPhase: first }),
      ...(second === undefined ? {} : { secondPhase: second }),
    };
  };
  for (const name of own.keys()) done.set(name, resolve(name, []));
  return done;
}

function readField(node: Node, schema: string): Field {
  const match = /^field\s+([A-Za-z_]\w*)\s+type\s+(.+)$/.exec(node.head);
  if (match === null)
    throw new SchemaError(`For schema '${schema}': illegal field definition '${node.head}'`);
  const [, name, typeText] = match;
  const all = flatten(node.body ?? []);
  const indexing = all
    .filter((n) => n.head === 'indexing')
    .map((n) => n.value ?? n.raw ?? '')
    .join(' ');
  const setting = (head: string, value: string) =>
    all.some((n) => (n.head === head && n.value === value) || n.head === value);
  const metric = all.find((n) => n.head === 'distance-metric')?.value;
  return {
    name: name!,
    type: parseFieldType(typeText!, `field '${name}'`),
    summary: /\bsummary\b/.test(indexing),
    attribute: /\battribute\b/.test(indexing),
    index: /\bindex\b/.test(indexing),
    bm25: setting('index', 'enable-bm25'),
    fastSearch: setting('attribute', 'fast-search'),
    cased: all.some((n) => n.head === 'match' && n.value === 'cased'),
    ...(metric === undefined ? {} : { distanceMetric: metric }),
  };
}

function readRankProfile(node: Node, schema: string): RankProfile {
  const match = /^rank-profile\s+(\S+?)(?:\s+inherits\s+(.+))?$/.exec(node.head);
  if (match === null) throw new SchemaError(`For schema '${schema}': illegal rank profile '${node.head}'`);
  const body = node.body ?? [];
  const inputs = new Map<string, TensorType>();
  for (const input of block(body, 'inputs')) {
    const parts = /^(query\([^)]*\)|[A-Za-z_]\w*)\s*(.*)$/.exec(input.head);
    if (parts)
      inputs.set(
        parts[1]!.startsWith('query(') ? parts[1]! : `query(${parts[1]})`,
        parseTensorType(parts[2] || 'double'),
      );
  }
  const constants = new Map<string, number>();
  for (const { head, value } of block(body, 'constants'))
    constants.set(head.split(/\s+/)[0]!.replace(/^constant\((.*)\)$/, '$1'), Number(value));
  const functions = new Map<string, { parameters: string[]; expression: string }>();
  for (const fn of body) {
    const head = /^(?:function|macro)\s+(?:inline\s+)?([\w.]+)\s*\(([^)]*)\)/.exec(fn.head);
    if (head)
      functions.set(head[1]!, {
        parameters: head[2]!
          .split(',')
          .map((p) => p.trim())
          .filter(Boolean),
        expression: expressionOf(fn.body) ?? '',
      });
  }
  const first = body.find((n) => n.head === 'first-phase');
  const second = body.find((n) => n.head === 'second-phase');
  const secondExpression = expressionOf(second?.body);
  const firstExpression = expressionOf(first?.body);
  const rerank = second?.body?.find((n) => n.head === 'rerank-count')?.value;
  return {
    name: match[1]!,
    inherits: (match[2] ?? '')
      .split(',')
      .map((p) => p.trim())
      .filter(Boolean),
    inputs,
    functions,
    constants,
    ...(firstExpression === undefined ? {} : { firstPhase: firstExpression }),
    ...(secondExpression === undefined
      ? {}
      : { secondPhase: { expression: secondExpression, rerankCount: Number(rerank ?? 100) } }),
    summaryFeatures: features(body, 'summary-features'),
    matchFeatures: features(body, 'match-features'),
  };
}

function features(body: readonly Node[], head: string): string[] {
  const node = body.find((n) => n.head === head);
  const text = node?.raw ?? node?.value ?? '';
  return text
    .split(/\n|(?<=\))\s+(?=\w)/)
    .map((f) => f.trim())
    .filter(Boolean);
}

function expressionOf(body: readonly Node[] | undefined): string | undefined {
  const node = body?.find((n) => n.head === 'expression');
  return (node?.raw ?? node?.value)?.trim();
}

function block(body: readonly Node[], head: string): readonly Node[] {
  return body.filter((n) => n.head === head).flatMap((n) => n.body ?? []);
}

function flatten(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => [node, ...flatten(node.body ?? [])]);
}

const SIMPLE = ['string', 'int', 'long', 'double', 'float', 'bool', 'byte', 'raw', 'uri'] as const;

/** @throws SchemaError */
export function parseFieldType(text: string, where: string): FieldType {
  const type = text.trim();
  const simple = SIMPLE.find((kind) => kind === type);
  if (simple) return { kind: simple };
  if (type.startsWith('tensor')) return { kind: 'tensor', tensor: parseTensorType(type) };
  const outer = /^(array|weightedset)<(.+)>$/.exec(type);
  if (outer) return { kind: outer[1] as 'array' | 'weightedset', element: parseFieldType(outer[2]!, where) };
  const map = /^map<(\w+),\s*(.+)>$/.exec(type);
  if (map) return { kind: 'map', key: parseFieldType(map[1]!, where), value: parseFieldType(map[2]!, where) };
  throw new SchemaError(`unknown type '${type}' of ${where}`);
}

/** @throws SchemaError */
export function parseTensorType(text: string): TensorType {
  const type = text.split(':')[0]!.trim();
  if (/^(double|float)$/.test(type)) return { cell: 'double', dimensions: [] };
  const match = /^tensor(?:<(double|float|bfloat16|int8)>)?\((.*)\)$/.exec(type);
  if (match === null) throw new SchemaError(`Failed parsing tensor type '${type}'`);
  const dimensions = match[2]!
    .split(',')
    .map((d) => d.trim())
    .filter(Boolean)
    .map((d) => {
      const part = /^([A-Za-z_]\w*)(\{\}|\[(\d+)\])$/.exec(d);
      if (part === null)
        throw new SchemaError(
          `Failed parsing tensor type '${type}': Dimension '${d}' is on the wrong format`,
        );
      return part[3] === undefined ? { name: part[1]! } : { name: part[1]!, size: Number(part[3]) };
    });
  return {
    cell: (match[1] as TensorType['cell'] | undefined) ?? 'double',
    dimensions: dimensions.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Heads whose block is text and not statements. */
const RAW = new Set(['expression', 'summary-features', 'match-features', 'indexing']);

class Reader {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly file: string,
  ) {}

  nodes(): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      this.skip(/[\s]/);
      if (this.at >= this.text.length || this.text[this.at] === '}') return nodes;
      nodes.push(this.node());
    }
  }

  private node(): Node {
    let head = '';
    for (;;) {
      const char = this.text[this.at];
      if (char === undefined || char === '\n' || char === '}') return { head: head.trim() };
      if (char === '{') {
        // `patch{}`: a mapped dimension, part of a type.
        if (this.text.startsWith('{}', this.at) && /\w$/.test(head)) {
          head += '{}';
          this.at += 2;
          continue;
        }
        return this.blockNode(head.trim());
      }
      if (char === ':') {
        this.at++;
        return { head: head.trim(), value: this.value() };
      }
      head += char;
      this.at++;
    }
  }

  private blockNode(head: string): Node {
    const start = ++this.at;
    if (RAW.has(head)) {
      for (let depth = 1; depth > 0; this.at++) {
        const char = this.text[this.at];
        if (char === undefined)
          throw new SchemaError(`Could not parse schema file '${this.file}': '${head}' is not closed`);
        if (char === '{') depth++;
        if (char === '}') depth--;
      }
      return { head, raw: this.text.slice(start, this.at - 1) };
    }
    const body = this.nodes();
    if (this.text[this.at] !== '}')
      throw new SchemaError(`Could not parse schema file '${this.file}': '${head}' is not closed`);
    this.at++;
    return { head, body };
  }

  /** To the end of the line, or of the one-line block it stands in. */
  private value(): string {
    let depth = 0;
    const start = this.at;
    for (; this.at < this.text.length; this.at++) {
      const char = this.text[this.at];
      if (char === '\n' && depth === 0) break;
      if (char === '{' || char === '(') depth++;
      if (char === ')') depth--;
      if (char === '}' && --depth < 0) break;
    }
    return this.text.slice(start, this.at).trim();
  }

  private skip(pattern: RegExp): void {
    while (this.at < this.text.length && pattern.test(this.text[this.at]!)) this.at++;
  }
}
