import type { DocumentId, FieldValue } from '../store.js';

/** A selection that cannot be parsed; answered with 400. */
export class SelectionError extends Error {}

/** What a selection looks at. */
export interface Selectable {
  readonly id: DocumentId;
  readonly fields: () => ReadonlyMap<string, FieldValue>;
}

type Operand = string | number | bigint | boolean | null | undefined;
type Test = (document: Selectable) => boolean;

/** Parses the document selection language: types, ids, fields, comparisons, arithmetic, and, or, not. */
export function parseSelection(text: string): Test {
  return new Parser(text).parse();
}

class Parser {
  private readonly tokens: string[];
  private at = 0;

  constructor(private readonly text: string) {
    this.tokens =
      text.match(
        /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+\.?\d*(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+|==|=~|!=|<=|>=|[A-Za-z_][A-Za-z0-9_]*|\S/g,
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
      left = (d) => a(d) || b(d);
    }
    return left;
  }

  private and(): Test {
    let left = this.not();
    while (this.word('and')) {
      const [a, b] = [left, this.not()];
      left = (d) => a(d) && b(d);
    }
    return left;
  }

  private not(): Test {
    if (this.word('not')) {
      const inner = this.not();
      return (d) => !inner(d);
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
    // A document type alone.
    const name = this.tokens[start];
    if (this.at === start + 1 && name !== undefined && /^[A-Za-z_]\w*$/.test(name) && name !== 'id')
      return (d) => d.id.type === name;
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
      const value = /^-?\d+$/.test(token) ? BigInt(token) : Number(token);
      return () => value;
    }
    if (token === 'null') return () => null;
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
      if (value === undefined) return null;
      return typeof value === 'object' ? JSON.stringify(value) : transform(value);
    };
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

/** `undefined` (another type's field) matches nothing; `null` equals null only. */
function compare(op: string, left: Operand, right: Operand): boolean {
  if (left === undefined || right === undefined) return false;
  if (left === null || right === null)
    return op === '!=' ? left !== right : (op === '=' || op === '==') && left === right;
  if (op === '=~') return new RegExp(String(right)).test(String(left));
  if (op === '=' && typeof right === 'string' && /[*?]/.test(right)) return glob(right).test(String(left));
  const [a, b] =
    typeof left === 'string' || typeof right === 'string'
      ? [String(left), String(right)]
      : [Number(left), Number(right)];
  switch (op) {
    case '=':
    case '==':
      // Longs beyond 2^53 must not be equal because their doubles are.
      return typeof left === 'bigint' || typeof right === 'bigint'
        ? String(left) === String(right) ||
            (a === b && Number.isSafeInteger(a)) ||
            (a === b && !Number.isInteger(a))
        : a === b;
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
