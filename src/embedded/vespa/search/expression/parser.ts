import { TypeError, parseTensorType } from '../tensor/type.js';
import type { TensorType } from '../../model.js';
import type { Aggregator, Cell, Lambda, Node, Operator, Reference, SliceAt } from './ast.js';
import { BINARY, UNARY } from './functions.js';
import { ExpressionError, type Token, tokenize } from './lexer.js';
import { print } from './print.js';
import { TENSOR_FUNCTIONS, type TensorFunctionParser } from './tensorFunctions.js';

const AGGREGATORS: ReadonlySet<string> = new Set(['avg', 'count', 'max', 'median', 'min', 'prod', 'sum']);
/** From the loosest to the tightest. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '~=', '<=', '>=', '<', '>'],
  ['+', '-'],
  ['*', '/', '%'],
  ['^'],
];

const parsed = new Map<string, Node>();

/** @throws ExpressionError saying where the text stops being an expression */
export function parseExpression(text: string): Node {
  let node = parsed.get(text);
  if (node === undefined) {
    node = new Parser(text).whole();
    if (parsed.size > 10_000) parsed.clear();
    parsed.set(text, node);
  }
  return node;
}

/** `bm25(title) attribute(x)`: a list of features without separators. @throws ExpressionError */
export function parseFeatureList(text: string): Reference[] {
  const parser = new Parser(text);
  const features: Reference[] = [];
  while (!parser.atEnd) features.push(parser.feature());
  return features;
}

export class Parser {
  private readonly tokens: readonly Token[];
  private index = 0;

  constructor(private readonly text: string) {
    this.tokens = tokenize(text);
  }

  get atEnd(): boolean {
    return this.token.kind === 'end';
  }

  whole(): Node {
    const node = this.expression();
    if (!this.atEnd) this.fail();
    return node;
  }

  expression(level = 0): Node {
    const operators = LEVELS[level];
    if (operators === undefined) return this.value();
    let left = this.expression(level + 1);
    // `^` binds to the right, all others to the left.
    while (this.token.kind !== 'end') {
      const { text } = this.token;
      if (level === 2 && this.accept('in')) {
        this.expect('[');
        left = { kind: 'in', operand: left, set: this.list(() => this.expression(), ']') };
      } else if (this.token.kind === 'symbol' && operators.includes(text)) {
        this.index++;
        const right = this.expression(text === '^' ? level : level + 1);
        left = { kind: 'operation', op: text as Operator, left, right };
      } else break;
    }
    return left;
  }

  feature(): Reference {
    if (this.token.kind !== 'identifier') this.fail();
    const { text: name } = this.next();
    const args = this.accept('(') ? this.list(() => this.expression(), ')') : [];
    const output = this.accept('.') ? this.next().text : undefined;
    return reference(name, args, output);
  }

  identifier(): string {
    if (this.token.kind !== 'identifier' && this.token.kind !== 'integer') this.fail();
    return this.next().text;
  }

  /** `, a, b)`, the closing bracket included. */
  dimensions(): string[] {
    const names: string[] = [];
    while (this.accept(',')) names.push(this.identifier());
    this.expect(')');
    return names;
  }

  /** Items up to the closing symbol, which is consumed; may be empty. */
  list<T>(item: () => T, close: string): T[] {
    if (this.accept(close)) return [];
    const items = [item()];
    while (this.accept(',')) items.push(item());
    this.expect(close);
    return items;
  }

  aggregator(): Aggregator {
    if (!AGGREGATORS.has(this.token.text)) this.fail();
    return this.next().text as Aggregator;
  }

  /** `f(x,y)(x * y)` */
  lambda(): Lambda {
    this.expect('f');
    this.expect('(');
    const parameters = this.list(() => this.identifier(), ')');
    this.expect('(');
    const body = this.expression();
    this.expect(')');
    const outside = strangers(body, new Set(parameters));
    if (outside.length > 0)
      throw new LambdaError(`Lambda ${print(body)} accesses features outside its scope: ${outside.join(', ')}`);
    return { parameters, body };
  }

  cell(): Cell {
    const { text } = this.next();
    if (!['double', 'float', 'bfloat16', 'int8'].includes(text))
      throw new LambdaError(
        `Value type must be either 'double', 'float', 'bfloat16', or 'int8' but was '${text}'`,
      );
    return text as Cell;
  }

  /** `tensor<float>(x[3],y{})` with the word `tensor` already read. */
  tensorType(): TensorType {
    const start = this.tokens[this.index - 1]!;
    if (this.accept('<')) {
      this.next();
      this.expect('>');
    }
    this.expect('(');
    let depth = 1;
    while (depth > 0) {
      if (this.atEnd) this.fail();
      if (this.token.text === '(') depth++;
      if (this.token.text === ')') depth--;
      this.index++;
    }
    const end = this.tokens[this.index - 1]!;
    try {
      return parseTensorType(this.text.slice(start.at, end.at + 1));
    } catch (error) {
      if (error instanceof TypeError) throw new LambdaError(error.message);
      throw error;
    }
  }

  accept(text: string): boolean {
    if (this.token.text !== text || this.token.kind === 'string') return false;
    this.index++;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail();
  }

  peek(ahead = 0): Token {
    return this.tokens[Math.min(this.index + ahead, this.tokens.length - 1)]!;
  }

  next(): Token {
    if (this.atEnd) this.fail();
    return this.tokens[this.index++]!;
  }

  fail(): never {
    const { kind, text, line, column } = this.token;
    const keyword = kind === 'symbol' || isKeyword(text);
    const what =
      kind === 'end'
        ? '"<EOF>"'
        : `" ${keyword ? `"${text}"` : `<${kind === 'integer' ? 'INTEGER' : kind.toUpperCase()}>`} "${text}""`;
    throw new ExpressionError(`Encountered ${what} at line ${line}, column ${column}.`);
  }

  private get token(): Token {
    return this.tokens[this.index]!;
  }

  private value(): Node {
    if (this.accept('-')) return { kind: 'negate', operand: this.value() };
    if (this.accept('!')) return { kind: 'not', operand: this.value() };
    const { kind, text } = this.token;
    switch (kind) {
      case 'integer':
      case 'float':
        this.index++;
        if (!/^[0-9.]+([eE][+-]?[0-9]+)?$/.test(text))
          throw new LambdaError(`For input string: "${text}"`);
        return { kind: 'number', value: Number(text) };
      case 'string':
        this.index++;
        return { kind: 'string', value: text.slice(1, -1).replace(/\\(.)/g, '$1') };
      case 'identifier':
        return this.sliced(this.named());
      default:
        if (!this.accept('(')) this.fail();
        return this.sliced(this.closed());
    }
  }

  private closed(): Node {
    const inner = this.expression();
    this.expect(')');
    return inner;
  }

  private named(): Node {
    const name = this.token.text;
    const called = this.peek(1).text === '(' && this.peek(1).kind === 'symbol';
    if (name === 'true' && !called) {
      this.index++;
      return { kind: 'number', value: 1 };
    }
    if (name === 'false' && !called) {
      this.index++;
      return { kind: 'number', value: 0 };
    }
    if (name === 'tensor' && (called || this.peek(1).text === '<')) {
      this.index++;
      return this.tensor();
    }
    if (!called) return this.feature();
    const begin = this.index;
    if (name === 'if') {
      this.index += 2;
      return this.condition();
    }
    if (AGGREGATORS.has(name) && this.peek(2).text !== ')') {
      this.index += 2;
      return this.aggregation(name as Aggregator);
    }
    if (name in UNARY || name in BINARY) {
      this.index += 2;
      const args = this.list(() => this.expression(), ')');
      // With another number of arguments it is read as a feature, which there is none of.
      if (args.length === (name in UNARY ? 1 : 2)) return { kind: 'cellwise', name, args };
      if (args.length > 2) {
        this.index = begin + 2;
        this.expression();
        this.expect(',');
        this.expression();
        this.expect(')');
      }
      return reference(name, args, undefined);
    }
    const tensorFunction: TensorFunctionParser | undefined = TENSOR_FUNCTIONS[name];
    if (tensorFunction === undefined) return this.feature();
    this.index += 2;
    return tensorFunction(this);
  }

  /** `sum(t)`, `sum(t, x, y)`, `max(a, b)`. */
  private aggregation(aggregator: Aggregator): Node {
    const operand = this.expression();
    const twoNumbers = aggregator === 'max' || aggregator === 'min';
    const bareName =
      this.token.text === ',' && this.peek(1).kind === 'identifier' && [',', ')'].includes(this.peek(2).text);
    if (!twoNumbers || bareName) {
      const dimensions = this.dimensions();
      const ambiguous = twoNumbers && dimensions.length === 1 ? { ambiguous: true as const } : {};
      return { kind: 'reduce', operand, aggregator, dimensions, ...ambiguous };
    }
    this.expect(',');
    const other = this.expression();
    this.expect(')');
    return { kind: 'cellwise', name: aggregator, args: [operand, other] };
  }

  private condition(): Node {
    const condition = this.expression();
    this.expect(',');
    const then = this.expression();
    this.expect(',');
    const otherwise = this.expression();
    // A fourth argument tells how probable the condition is: of use to an optimizer only.
    if (this.accept(',')) this.expression();
    this.expect(')');
    return { kind: 'if', condition, then, otherwise };
  }

  /** `tensor(x[3])(x * 2)` or `tensor(x{}):{a:1,b:2}`. */
  private tensor(): Node {
    const type = this.tensorType();
    if (this.accept('(')) return { kind: 'generate', type, body: this.closed() };
    this.expect(':');
    const cells: { address: string[]; value: Node }[] = [];
    this.literal(type, [], cells);
    return { kind: 'literal', type, cells };
  }

  private literal(
    type: TensorType,
    address: readonly string[],
    into: { address: string[]; value: Node }[],
  ): void {
    if (this.accept('[')) {
      let position = 0;
      this.list(() => this.literal(type, [...address, String(position++)], into), ']');
    } else if (this.accept('{')) {
      this.list(() => {
        if (this.accept('{')) {
          const bound = new Map(
            this.list(() => {
              const dimension = this.identifier();
              this.expect(':');
              return [dimension, this.label()] as const;
            }, '}'),
          );
          this.expect(':');
          into.push({
            address: type.dimensions.map(({ name }) => bound.get(name) ?? ''),
            value: this.expression(),
          });
        } else {
          const label = this.label();
          this.expect(':');
          this.literal(type, [...address, label], into);
        }
      }, '}');
    } else into.push({ address: [...address], value: this.expression() });
  }

  private label(): string {
    return this.next().text.replace(/^["']|["']$/g, '');
  }

  /** `t{x:a,y:3}`, `t{a}`, `t[3]` behind a tensor. */
  private sliced(operand: Node): Node {
    const bracket = this.token.text;
    if (this.token.kind !== 'symbol' || (bracket !== '{' && bracket !== '[')) return operand;
    this.index++;
    const at = this.list((): SliceAt => {
      const named = this.peek(1).text === ':' ? { dimension: this.identifier() } : {};
      if (named.dimension !== undefined) this.expect(':');
      const label = this.accept('(') ? this.closed() : this.label();
      return { ...named, label, bracket };
    }, bracket === '{' ? '}' : ']');
    return { kind: 'slice', operand, at };
  }
}

/** What is wrong is not the grammar: Vespa says it without quoting the expression. */
export class LambdaError extends ExpressionError {}

function reference(name: string, args: readonly Node[], output: string | undefined): Reference {
  const call = args.length === 0 ? name : `${name}(${args.map(print).join(',')})`;
  return {
    kind: 'reference',
    name,
    args,
    ...(output === undefined ? {} : { output }),
    text: output === undefined ? call : `${call}.${output}`,
  };
}

function strangers(node: Node, known: ReadonlySet<string>): string[] {
  if (node.kind === 'reference') return known.has(node.text) ? [] : [node.text];
  return childrenOf(node).flatMap((child) => strangers(child, known));
}

import { children as childrenOf } from './ast.js';

function isKeyword(text: string): boolean {
  return (
    ['if', 'in', 'f', 'true', 'false', 'tensor', 'switch', 'case', 'default'].includes(text) ||
    AGGREGATORS.has(text) ||
    text in UNARY ||
    text in BINARY ||
    text in TENSOR_FUNCTIONS
  );
}
