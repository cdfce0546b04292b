import {
  type Aggregator,
  type Value,
  asNumber,
  fusedSum,
  hamming,
  join,
  mapCells,
  reduce,
  unpackBits,
} from './tensor.js';

/** A parsed rank expression. */
export interface Expression {
  readonly root: Node;
  /** Features it names, for validation: `bm25(title)` is `{ name: 'bm25', argument: 'title' }`. */
  readonly features: readonly { readonly name: string; readonly argument: string }[];
}

export type Node =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'binary'; readonly op: string; readonly left: Node; readonly right: Node }
  | { readonly kind: 'unary'; readonly op: '-' | '!'; readonly operand: Node }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Node[] }
  | {
      readonly kind: 'reduce';
      readonly aggregator: Aggregator;
      readonly operand: Node;
      readonly dimensions: readonly string[];
    }
  | { readonly kind: 'feature'; readonly name: string; readonly argument: string };

/** What an expression is evaluated against: one document and one query. */
export interface RankContext {
  feature(name: string, argument: string): Value;
  /** A function of the rank profile by name; undefined when there is none. */
  function(name: string): { readonly parameters: readonly string[]; readonly body: Node } | undefined;
  readonly locals?: ReadonlyMap<string, Value>;
}

const AGGREGATORS: readonly string[] = ['sum', 'max', 'min', 'avg', 'count', 'prod'];
const FEATURES = new Set([
  'attribute',
  'query',
  'bm25',
  'closeness',
  'distance',
  'constant',
  'nativeRank',
  'fieldMatch',
  'freshness',
  'now',
  'random',
  'term',
  'matches',
  'firstPhase',
  'secondPhase',
]);
const MATH: Readonly<Record<string, (x: number) => number>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  cos: Math.cos,
  exp: Math.exp,
  floor: Math.floor,
  log: Math.log,
  log10: Math.log10,
  relu: (x) => Math.max(0, x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sin: Math.sin,
  sqrt: Math.sqrt,
  tanh: Math.tanh,
  isNan: (x) => Number(Number.isNaN(x)),
};
const MATH2: Readonly<Record<string, (a: number, b: number) => number>> = {
  atan2: Math.atan2,
  fmod: (a, b) => a % b,
  hamming,
  max: Math.max,
  min: Math.min,
  pow: Math.pow,
};
const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '^': Math.pow,
  '<': (a, b) => Number(a < b),
  '<=': (a, b) => Number(a <= b),
  '>': (a, b) => Number(a > b),
  '>=': (a, b) => Number(a >= b),
  '==': (a, b) => Number(a === b),
  '!=': (a, b) => Number(a !== b),
  '~=': (a, b) => Number(Math.abs(a - b) < 1e-6),
  '&&': (a, b) => Number(a !== 0 && b !== 0),
  '||': (a, b) => Number(a !== 0 || b !== 0),
};
/** From the loosest to the tightest. */
const LEVELS = [['||'], ['&&'], ['==', '!=', '~=', '<=', '>=', '<', '>'], ['+', '-'], ['*', '/', '%'], ['^']];

const parsed = new Map<string, Expression>();

/** @throws Error saying where the text stops being an expression */
export function parseExpression(text: string): Expression {
  let expression = parsed.get(text);
  if (expression === undefined) {
    expression = new Parser(text).parse();
    if (parsed.size > 10_000) parsed.clear();
    parsed.set(text, expression);
  }
  return expression;
}

class Parser {
  private at = 0;
  private readonly tokens: string[];
  private readonly features: { name: string; argument: string }[] = [];

  constructor(private readonly text: string) {
    this.tokens =
      text.match(/\d+\.?\d*(?:[eE][+-]?\d+)?|[A-Za-z_][A-Za-z0-9_.]*|==|!=|~=|<=|>=|&&|\|\||"[^"]*"|\S/g) ??
      [];
  }

  parse(): Expression {
    const root = this.level(0);
    if (this.at < this.tokens.length)
      throw new Error(`unexpected '${this.tokens[this.at]}' in '${this.text}'`);
    return { root, features: this.features };
  }

  private level(depth: number): Node {
    const operators = LEVELS[depth];
    if (operators === undefined) return this.unary();
    let left = this.level(depth + 1);
    for (
      let op = this.tokens[this.at];
      op !== undefined && operators.includes(op);
      op = this.tokens[this.at]
    ) {
      this.at++;
      left = { kind: 'binary', op, left, right: this.level(depth + 1) };
    }
    return left;
  }

  private unary(): Node {
    const op = this.tokens[this.at];
    if (op !== '-' && op !== '!') return this.primary();
    this.at++;
    return { kind: 'unary', op, operand: this.unary() };
  }

  private primary(): Node {
    const token = this.tokens[this.at++];
    if (token === undefined) throw new Error(`'${this.text}' ends too early`);
    if (/^\d/.test(token)) return { kind: 'number', value: Number(token) };
    if (token === '(') {
      const inner = this.level(0);
      this.expect(')');
      return inner;
    }
    if (!/^[A-Za-z_]/.test(token)) throw new Error(`unexpected '${token}' in '${this.text}'`);
    if (this.tokens[this.at] !== '(') return this.feature(token, '');
    if (FEATURES.has(token)) return this.feature(token, this.rawArguments());
    this.at++;
    if (token === 'reduce') return this.reduceCall();
    return this.call(token);
  }

  private feature(name: string, argument: string): Node {
    this.features.push({ name, argument });
    return { kind: 'feature', name, argument };
  }

  private rawArguments(): string {
    this.expect('(');
    let text = '';
    for (let token = this.tokens[this.at++]; token !== ')'; token = this.tokens[this.at++]) {
      if (token === undefined) throw new Error(`'${this.text}' ends too early`);
      text += token;
    }
    // An output, as in `closeness(field, x).logscale`: none is computed here, so only the plain form passes.
    return text;
  }

  private reduceCall(): Node {
    const operand = this.level(0);
    this.expect(',');
    const aggregator = this.tokens[this.at++];
    if (aggregator === undefined || !AGGREGATORS.includes(aggregator))
      throw new Error(`'${aggregator ?? ''}' is no aggregator in '${this.text}'`);
    return { kind: 'reduce', aggregator: aggregator as Aggregator, operand, dimensions: this.names() };
  }

  private call(name: string): Node {
    const args: Node[] = [];
    if (this.tokens[this.at] === ')') {
      this.at++;
      return { kind: 'call', name, args };
    }
    args.push(this.level(0));
    // `sum(x, v)` reduces along v, `max(a, b)` compares: a bare name after the first argument is a dimension.
    const bare =
      this.tokens[this.at] === ',' &&
      /^[A-Za-z_]\w*$/.test(this.tokens[this.at + 1] ?? '') &&
      [',', ')'].includes(this.tokens[this.at + 2] ?? '');
    if (AGGREGATORS.includes(name) && (bare || this.tokens[this.at] === ')')) {
      return { kind: 'reduce', aggregator: name as Aggregator, operand: args[0]!, dimensions: this.names() };
    }
    if (name === 'cell_cast' || name === 'unpack_bits') {
      this.names();
      return { kind: 'call', name, args };
    }
    while (this.tokens[this.at] === ',') {
      this.at++;
      args.push(this.level(0));
    }
    this.expect(')');
    return { kind: 'call', name, args };
  }

  /** `, a, b)` */
  private names(): string[] {
    const names: string[] = [];
    while (this.tokens[this.at] === ',') {
      names.push(this.tokens[this.at + 1] ?? '');
      this.at += 2;
    }
    this.expect(')');
    return names;
  }

  private expect(token: string): void {
    if (this.tokens[this.at++] !== token) throw new Error(`expected '${token}' in '${this.text}'`);
  }
}

/** Float by float as the content node does in doubles; scores differ from the real one's in the last digits at most. */
export function evaluate(node: Node, context: RankContext): Value {
  switch (node.kind) {
    case 'number':
      return node.value;
    case 'feature':
      return context.locals?.get(node.name) ?? feature(node, context);
    case 'unary':
      return mapCells(evaluate(node.operand, context), node.op === '-' ? (x) => -x : (x) => Number(x === 0));
    case 'binary':
      return join(evaluate(node.left, context), evaluate(node.right, context), OPERATORS[node.op]!);
    case 'reduce':
      return evaluateReduce(node, context);
    case 'call':
      return evaluateCall(node, context);
  }
}

function feature(node: Extract<Node, { kind: 'feature' }>, context: RankContext): Value {
  const own = node.argument === '' ? context.function(node.name) : undefined;
  return own ? evaluate(own.body, context) : context.feature(node.name, node.argument);
}

function evaluateReduce(node: Extract<Node, { kind: 'reduce' }>, context: RankContext): Value {
  const { operand, aggregator, dimensions } = node;
  if (aggregator === 'sum' && dimensions.length === 1) {
    const product =
      operand.kind === 'binary' && operand.op === '*'
        ? ([operand.left, operand.right, 'multiply'] as const)
        : undefined;
    const bits =
      operand.kind === 'call' && operand.name === 'hamming'
        ? ([operand.args[0]!, operand.args[1]!, 'hamming'] as const)
        : undefined;
    const [left, right, op] = product ?? bits ?? [];
    if (left !== undefined && right !== undefined && op !== undefined) {
      const [a, b] = [evaluate(left, context), evaluate(right, context)];
      const fused = fusedSum(a, b, op, dimensions[0]!);
      return fused ?? reduce(join(a, b, op === 'multiply' ? OPERATORS['*']! : hamming), 'sum', dimensions);
    }
  }
  return reduce(evaluate(operand, context), aggregator, dimensions);
}

function evaluateCall(node: Extract<Node, { kind: 'call' }>, context: RankContext): Value {
  const { name, args } = node;
  const value = (i: number) => evaluate(args[i]!, context);
  if (name === 'if') return asNumber(value(0)) !== 0 ? value(1) : value(2);
  if (name === 'cell_cast') return value(0);
  if (name === 'unpack_bits') return unpackBits(value(0));
  const one = MATH[name];
  if (one && args.length === 1) return mapCells(value(0), one);
  const two = MATH2[name];
  if (two && args.length === 2) return join(value(0), value(1), two);
  const own = context.function(name);
  if (own) {
    const locals = new Map(own.parameters.map((parameter, i) => [parameter, value(i)] as const));
    return evaluate(own.body, {
      ...context,
      feature: context.feature.bind(context),
      function: context.function.bind(context),
      locals,
    });
  }
  throw new Error(`unknown function '${name}'`);
}
