import type { DocumentId, FieldValue } from '../store.js';

/** A selection that cannot be parsed; answered with 400. */
export class SelectionError extends Error {}

/** What a selection looks at. */
export interface Selectable {
  readonly id: DocumentId;
  readonly fields: () => ReadonlyMap<string, FieldValue>;
}

type Operand = string | number | bigint | boolean | null | undefined;
/** Undefined: neither, as when another type's field is compared; `not` leaves it so, and it selects nothing. */
type Verdict = boolean | undefined;
type Test = (document: Selectable) => Verdict;

/** A field's value as operands: of an array and a set any element may match. */
function valueAt(
  value: FieldValue | undefined,
  at: string | undefined,
  transform: (value: Operand) => Operand,
): Operand {
  if (value === undefined) return null;
  if (Array.isArray(value)) {
    const items = value as readonly FieldValue[];
    if (at !== undefined) return valueAt(items[Number(at)], undefined, transform);
    return items.map((item) => valueAt(item, undefined, transform)) as unknown as Operand;
  }
  if (value instanceof Map) {
    const map = value as ReadonlyMap<string, FieldValue>;
    return at === undefined
      ? ([...map.keys()] as unknown as Operand)
      : valueAt(map.get(at), undefined, transform);
  }
  return typeof value === 'object' ? null : transform(value);
}

/** Parses the document selection language: types, ids, fields, comparisons, arithmetic, and, or, not. */
export function parseSelection(text: string): (document: Selectable) => boolean {
  const test = new Parser(text).parse();
  return (document) => test(document) === true;
}

class Parser {
  private readonly tokens: string[];
  private at = 0;

  constructor(private readonly text: string) {
    this.tokens =
      text.match(
        /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|0x[0-9a-fA-F]+|-?\d+\.?\d*(?:[eE][+-]?\d+)?|==|=~|!=|<=|>=|[A-Za-z_][A-Za-z0-9_]*|\S/g,
      ) ?? [];
  }

  parse(): Test {
    if (this.tokens.length === 0) return () => true;
    const test = this.or();
    if (this.at < this.tokens.length) this.fail();
    return test;
  }

  private or(): Test {
    let left = this.and();
    while (this.word('or')) {
      const [a, b] = [left, this.and()];
      left = (d) => either(a(d), b(d));
    }
    return left;
  }

  private and(): Test {
    let left = this.not();
    while (this.word('and')) {
      const [a, b] = [left, this.not()];
      left = (d) => both(a(d), b(d));
    }
    return left;
  }

  private not(): Test {
    if (this.word('not')) {
      const inner = this.not();
      return (d) => {
        const verdict = inner(d);
        return verdict === undefined ? undefined : !verdict;
      };
    }
    if (this.tokens[this.at] === '(') {
      const start = this.at++;
      try {
        const inner = this.or();
        if (this.tokens[this.at] === ')' && !/^([=<>!]|==|=~|[-+*/%])/.test(this.tokens[this.at + 1] ?? '')) {
          this.at++;
          return inner;
        }
      } catch (error) {
        if (!(error instanceof SelectionError)) throw error;
      }
      // It was arithmetic in parentheses.
      this.at = start;
    }
    return this.comparison();
  }

  private comparison(): Test {
    const token = this.tokens[this.at]?.toLowerCase();
    if (token === 'true' || token === 'false') {
      this.at++;
      return () => token === 'true';
    }
    const start = this.at;
    const left = this.sum();
    const op = this.tokens[this.at];
    if (op !== undefined && ['=', '==', '!=', '<', '<=', '>', '>=', '=~'].includes(op)) {
      this.at++;
      const right = this.sum();
      return (d) => compare(op, left(d), right(d));
    }
    // A document type alone; a number is true unless it is 0, a text always, a field where it is set.
    const name = this.tokens[start]!;
    if (this.at === start + 1 && /^[A-Za-z_]\w*$/.test(name) && name !== 'id' && name !== 'null') {
      return (d) => d.id.type === name;
    }
    if (this.at > start) return (d) => truth(left(d));
    return this.fail();
  }

  private sum(): (d: Selectable) => Operand {
    let left = this.product();
    for (let op = this.tokens[this.at]; op === '+' || op === '-'; op = this.tokens[this.at]) {
      this.at++;
      const [a, b, minus] = [left, this.product(), op === '-'];
      left = (d) => arithmetic(a(d), b(d), (x, y) => (minus ? x - y : x + y));
    }
    return left;
  }

  private product(): (d: Selectable) => Operand {
    let left = this.primary();
    for (let op = this.tokens[this.at]; op === '*' || op === '/' || op === '%'; op = this.tokens[this.at]) {
      this.at++;
      const [a, b, how] = [left, this.primary(), op];
      left = (d) => arithmetic(a(d), b(d), (x, y) => (how === '*' ? x * y : how === '/' ? x / y : x % y));
    }
    return left;
  }

  private primary(): (d: Selectable) => Operand {
    const token = this.tokens[this.at++];
    if (token === undefined) return this.fail();
    if (token === '(') {
      const inner = this.sum();
      if (this.tokens[this.at++] !== ')') this.fail();
      return inner;
    }
    if (/^["']/.test(token)) {
      const value = token
        .slice(1, -1)
        .replace(/\\(.)/g, (_, c: string) => ({ n: '\n', t: '\t', r: '\r' })[c] ?? c);
      return () => value;
    }
    if (/^0x/.test(token) || /^-?\d/.test(token)) {
      const value = /^-?\d+$|^0x/.test(token) ? BigInt(token) : Number(token);
      return () => value;
    }
    if (token === 'null') return () => null;
    if (token === 'true' || token === 'false') return () => token === 'true';
    if (token === 'now' && this.tokens[this.at] === '(' && this.tokens[this.at + 1] === ')') {
      this.at += 2;
      return () => Math.floor(Date.now() / 1000);
    }
    if (token === 'id') return this.idPart();
    if (/^[A-Za-z_]\w*$/.test(token)) return this.field(token);
    this.at--;
    return this.fail();
  }

  private idPart(): (d: Selectable) => Operand {
    if (this.tokens[this.at] !== '.') return (d) => d.id.text;
    this.at++;
    const part = this.tokens[this.at++];
    switch (part) {
      case 'namespace':
        return (d) => d.id.namespace;
      case 'type':
        return (d) => d.id.type;
      case 'specific':
        return (d) => d.id.user;
      case 'user':
        return (d) => d.id.number;
      case 'group':
        return (d) => d.id.group;
      case 'scheme':
        return () => 'id';
      case 'bucket':
        return () => null;
      default:
        this.at--;
        return this.fail();
    }
  }

  private field(type: string): (d: Selectable) => Operand {
    if (this.tokens[this.at] !== '.') return () => undefined;
    this.at++;
    const name = this.tokens[this.at++];
    if (name === undefined || !/^[A-Za-z_]\w*$/.test(name)) return this.fail();
    const at = this.subscript();
    let transform = (value: Operand): Operand => value;
    while (this.tokens[this.at] === '.' && this.tokens[this.at + 2] === '(') {
      const how = this.tokens[this.at + 1];
      if (how !== 'lowercase' && how !== 'hash' && how !== 'abs') this.fail();
      if (how === 'lowercase')
        transform = (value) => (typeof value === 'string' ? value.toLowerCase() : value);
      if (how === 'abs') transform = (value) => (typeof value === 'number' ? Math.abs(value) : value);
      this.at += 4;
    }
    return (d) => {
      if (d.id.type !== type) return undefined;
      const value = d.fields().get(name);
      return valueAt(value, at, transform);
    };
  }

  /** `[0]` or `{key}` behind a field. */
  private subscript(): string | undefined {
    const open = this.tokens[this.at];
    if (open !== '[' && open !== '{') return undefined;
    const key = this.tokens[this.at + 1];
    if (key === undefined || this.tokens[this.at + 2] !== (open === '[' ? ']' : '}')) return this.fail();
    this.at += 3;
    return key.replace(/^["']|["']$/g, '');
  }

  private word(word: string): boolean {
    if (this.tokens[this.at]?.toLowerCase() !== word) return false;
    this.at++;
    return true;
  }

  private fail(): never {
    throw new SelectionError(
      `Failed to parse selection '${this.text}' at '${this.tokens[this.at] ?? 'its end'}'`,
    );
  }
}

function truth(value: Operand): boolean {
  return value !== null && value !== undefined && value !== false && value !== 0 && value !== 0n;
}

function either(a: Verdict, b: Verdict): Verdict {
  return a === true || b === true ? true : a === undefined || b === undefined ? undefined : false;
}

function both(a: Verdict, b: Verdict): Verdict {
  return a === false || b === false ? false : a === undefined || b === undefined ? undefined : true;
}

/** What is not there is unequal to everything but null, and neither smaller nor larger. */
function compare(op: string, left: Operand, right: Operand): Verdict {
  if (Array.isArray(left))
    return (left as readonly Operand[]).some((item) => compare(op, item, right) === true);
  if (left === undefined || right === undefined) return op === '!=' ? true : undefined;
  if (left === null || right === null) {
    if (op === '!=') return left !== right;
    return op === '=' || op === '==' ? left === right : undefined;
  }
  if (op === '=~') return new RegExp(String(right)).test(String(left));
  if (op === '=' && typeof right === 'string' && /[*?]/.test(right)) return glob(right).test(String(left));
  const texts = typeof left === 'string' || typeof right === 'string';
  // A number and a text have no order.
  if (texts && typeof left !== typeof right && /[<>]/.test(op)) return false;
  const [a, b] = texts ? [String(left), String(right)] : [Number(left), Number(right)];
  switch (op) {
    case '=':
    case '==':
      // Longs beyond 2^53 must not be equal because their doubles are.
      return a === b && (typeof left !== 'bigint' || typeof right !== 'bigint' || left === right);
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    default:
      return a >= b;
  }
}

function glob(pattern: string): RegExp {
  return new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*/g, '.*')
      .replace(/\?/g, '.')}$`,
    's',
  );
}

function arithmetic(a: Operand, b: Operand, f: (x: number, y: number) => number): Operand {
  if (a === undefined || b === undefined || a === null || b === null) return undefined;
  if (typeof a === 'string' && typeof b === 'string') return a + b;
  return f(Number(a), Number(b));
}
