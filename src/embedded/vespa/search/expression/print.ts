import type { Lambda, Node } from './ast.js';

/** The canonical text of an expression, as errors and feature names carry it. */
export function print(node: Node): string {
  switch (node.kind) {
    case 'number':
      return String(node.value);
    case 'string':
      return `"${node.value}"`;
    case 'reference':
      return node.text;
    case 'operation':
      return `${print(node.left)} ${node.op} ${print(node.right)}`;
    case 'in':
      return `${print(node.operand)} in [${node.set.map(print).join(', ')}]`;
    case 'negate':
      return `-${print(node.operand)}`;
    case 'not':
      return `!${print(node.operand)}`;
    case 'if':
      return `if (${print(node.condition)}, ${print(node.then)}, ${print(node.otherwise)})`;
    case 'cellwise':
    case 'unsupported':
      return `${node.name}(${node.args.map(print).join(',')})`;
    case 'reduce':
      return `reduce(${[print(node.operand), node.aggregator, ...node.dimensions].join(', ')})`;
    case 'map':
      return `map(${print(node.operand)}, ${printLambda(node.lambda)})`;
    case 'join':
    case 'merge':
      return `${node.kind}(${print(node.left)}, ${print(node.right)}, ${printLambda(node.lambda)})`;
    case 'rename':
      return `rename(${print(node.operand)}, (${node.from.join(', ')}), (${node.to.join(', ')}))`;
    case 'concat':
      return `concat(${print(node.left)}, ${print(node.right)}, ${node.dimension})`;
    case 'cellCast':
      return `cell_cast(${print(node.operand)}, ${node.cell})`;
    case 'unpackBits':
      return `unpack_bits(${print(node.operand)})`;
    case 'slice': {
      const at = node.at.map(({ dimension, label }) => {
        const text = typeof label === 'string' ? label : `(${print(label)})`;
        return dimension === undefined ? text : `${dimension}:${text}`;
      });
      const [first] = node.at;
      // An index alone is printed in brackets, whichever it was written in.
      return first?.dimension === undefined && typeof first?.label === 'string' && /^\d+$/.test(first.label)
        ? `${print(node.operand)}[${at.join(',')}]`
        : `${print(node.operand)}{${at.join(',')}}`;
    }
    case 'generate':
      return `tensor(…)(${print(node.body)})`;
    case 'literal':
      return 'tensor(…):{…}';
  }
}

function printLambda({ parameters, body }: Lambda): string {
  return `f(${parameters.join(',')})(${print(body)})`;
}
