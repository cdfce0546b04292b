import type { Aggregator, Cell, Node, Operator } from './ast.js';
import type { Parser } from './parser.js';

/** Reads what follows `name(`. */
export type TensorFunctionParser = (parser: Parser) => Node;

const operation = (left: Node, op: Operator, right: Node): Node => ({ kind: 'operation', op, left, right });
const reduce = (operand: Node, aggregator: Aggregator, dimensions: readonly string[]): Node => ({
  kind: 'reduce',
  operand,
  aggregator,
  dimensions,
});
const cellwise = (name: string, ...args: Node[]): Node => ({ kind: 'cellwise', name, args });

function operandAndDimensions(make: (operand: Node, dimensions: readonly string[]) => Node): TensorFunctionParser {
  return (parser) => {
    const operand = parser.expression();
    return make(operand, parser.dimensions());
  };
}

/** Of two tensors along one dimension. */
function pair(make: (a: Node, b: Node, dimension: string) => Node): TensorFunctionParser {
  return (parser) => {
    const a = parser.expression();
    parser.expect(',');
    const b = parser.expression();
    parser.expect(',');
    const dimension = parser.identifier();
    parser.expect(')');
    return make(a, b, dimension);
  };
}

function withLambda(kind: 'join' | 'merge'): TensorFunctionParser {
  return (parser) => {
    const left = parser.expression();
    parser.expect(',');
    const right = parser.expression();
    parser.expect(',');
    const lambda = parser.lambda();
    parser.expect(')');
    return { kind, left, right, lambda };
  };
}

function names(parser: Parser): string[] {
  return parser.accept('(') ? parser.list(() => parser.identifier(), ')') : [parser.identifier()];
}

function unsupported(name: string): TensorFunctionParser {
  return (parser) => {
    // What stands between the brackets has forms of its own in each of them.
    for (let depth = 1; depth > 0;) {
      const { text, kind } = parser.next();
      if (kind === 'symbol' && text === '(') depth++;
      if (kind === 'symbol' && text === ')') depth--;
    }
    return { kind: 'unsupported', name, args: [] };
  };
}

/** `diag(x[3],y[3])`, `range(x[3])`: a generated tensor without a body of its own. */
function generated(body: (dimensions: readonly Node[]) => Node): TensorFunctionParser {
  return (parser) => {
    const dimensions = parser.list(() => {
      const name = parser.identifier();
      parser.expect('[');
      const size = Number(parser.next().text);
      parser.expect(']');
      return { name, size };
    }, ')');
    const variables = dimensions.map(({ name }): Node => ({
      kind: 'reference',
      name,
      args: [],
      text: name,
    }));
    const type = {
      cell: 'double' as const,
      dimensions: dimensions.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    };
    return { kind: 'generate', type, body: body(variables) };
  };
}

/** Tensor functions by name; those that are put together from others are rewritten, as the content node does too. */
export const TENSOR_FUNCTIONS: Readonly<Record<string, TensorFunctionParser>> = {
  reduce: (parser) => {
    const operand = parser.expression();
    parser.expect(',');
    const aggregator = parser.aggregator();
    return reduce(operand, aggregator, parser.dimensions());
  },
  map: (parser) => {
    const operand = parser.expression();
    parser.expect(',');
    const lambda = parser.lambda();
    parser.expect(')');
    return { kind: 'map', operand, lambda };
  },
  join: withLambda('join'),
  merge: withLambda('merge'),
  rename: (parser) => {
    const operand = parser.expression();
    parser.expect(',');
    const from = names(parser);
    parser.expect(',');
    const to = names(parser);
    parser.expect(')');
    return { kind: 'rename', operand, from, to };
  },
  concat: pair((left, right, dimension) => ({ kind: 'concat', left, right, dimension })),
  cell_cast: (parser) => {
    const operand = parser.expression();
    parser.expect(',');
    const cell = parser.cell();
    parser.expect(')');
    return { kind: 'cellCast', operand, cell };
  },
  unpack_bits: (parser) => {
    const operand = parser.expression();
    const cell: Cell = parser.accept(',') ? parser.cell() : 'float';
    const order = parser.accept(',') ? parser.identifier() : 'big';
    if (order !== 'big' && order !== 'little') parser.fail();
    parser.expect(')');
    return { kind: 'unpackBits', operand, cell, order };
  },
  expand: (parser) => {
    const operand = parser.expression();
    parser.expect(',');
    const name = parser.identifier();
    parser.expect(')');
    const one: Node = {
      kind: 'generate',
      type: { cell: 'int8', dimensions: [{ name, size: 1 }] },
      body: { kind: 'number', value: 1 },
    };
    return operation(one, '*', operand);
  },
  argmax: operandAndDimensions((x, d) => operation(x, '==', reduce(x, 'max', d))),
  argmin: operandAndDimensions((x, d) => operation(x, '==', reduce(x, 'min', d))),
  softmax: operandAndDimensions((x, d) => {
    const powers = cellwise('exp', x);
    return operation(powers, '/', reduce(powers, 'sum', d));
  }),
  l1_normalize: operandAndDimensions((x, d) => operation(x, '/', reduce(x, 'sum', d))),
  l2_normalize: operandAndDimensions((x, d) =>
    operation(x, '/', cellwise('sqrt', reduce(operation(x, '*', x), 'sum', d))),
  ),
  matmul: pair((a, b, d) => reduce(operation(a, '*', b), 'sum', [d])),
  cosine_similarity: pair((a, b, d) => {
    const squares = (x: Node) => reduce(operation(x, '*', x), 'sum', [d]);
    return operation(
      reduce(operation(a, '*', b), 'sum', [d]),
      '/',
      cellwise('sqrt', operation(squares(a), '*', squares(b))),
    );
  }),
  euclidean_distance: pair((a, b, d) =>
    cellwise('sqrt', reduce(cellwise('square', operation(a, '-', b)), 'sum', [d])),
  ),
  xw_plus_b: (parser) => {
    const [x, w, b] = [0, 1, 2].map(() => {
      const operand = parser.expression();
      parser.expect(',');
      return operand;
    });
    const dimension = parser.identifier();
    parser.expect(')');
    return operation(reduce(operation(x!, '*', w!), 'sum', [dimension]), '+', b!);
  },
  diag: generated((all) =>
    all
      .slice(1)
      .map((next, i) => operation(all[i]!, '==', next))
      .reduce((left, right) => operation(left, '&&', right), { kind: 'number', value: 1 }),
  ),
  range: generated((all) => all.reduce((left, right) => operation(left, '+', right))),
  random: unsupported('random'),
  top: unsupported('top'),
  cell_order: unsupported('cell_order'),
  filter_subspaces: unsupported('filter_subspaces'),
  map_subspaces: unsupported('map_subspaces'),
  elementwise: unsupported('elementwise'),
};
