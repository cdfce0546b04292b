import type { TensorType } from '../../model.js';

export type Operator =
  '+' | '-' | '*' | '/' | '%' | '^' | '<' | '<=' | '>' | '>=' | '==' | '!=' | '~=' | '&&' | '||';

export type Aggregator = 'avg' | 'count' | 'max' | 'median' | 'min' | 'prod' | 'sum';

export type Cell = TensorType['cell'];

/** `f(a,b)(a * b)`: may name its parameters only. */
export interface Lambda {
  readonly parameters: readonly string[];
  readonly body: Node;
}

/** One bound dimension of a slice; the dimension is left out in `t{label}` and `t[3]`. */
export interface SliceAt {
  readonly dimension?: string;
  readonly label: string | Node;
  /** As the text had it: `{…}` takes labels, `[…]` an index. */
  readonly bracket: '{' | '[';
}

/** A rank expression. Tensor functions that others can express (`softmax`, `matmul`, …) are already rewritten to those. */
export type Node =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | Reference
  | { readonly kind: 'operation'; readonly op: Operator; readonly left: Node; readonly right: Node }
  | { readonly kind: 'in'; readonly operand: Node; readonly set: readonly Node[] }
  | { readonly kind: 'negate' | 'not'; readonly operand: Node }
  | { readonly kind: 'if'; readonly condition: Node; readonly then: Node; readonly otherwise: Node }
  | { readonly kind: 'cellwise'; readonly name: string; readonly args: readonly Node[] }
  | {
      readonly kind: 'reduce';
      readonly operand: Node;
      readonly aggregator: Aggregator;
      readonly dimensions: readonly string[];
      /** `max(a, b)` and `min(a, b)` with a bare `b`: a dimension, or else a function of that name. */
      readonly ambiguous?: true;
    }
  | { readonly kind: 'map'; readonly operand: Node; readonly lambda: Lambda }
  | { readonly kind: 'join' | 'merge'; readonly left: Node; readonly right: Node; readonly lambda: Lambda }
  | {
      readonly kind: 'rename';
      readonly operand: Node;
      readonly from: readonly string[];
      readonly to: readonly string[];
    }
  | { readonly kind: 'concat'; readonly left: Node; readonly right: Node; readonly dimension: string }
  | { readonly kind: 'cellCast'; readonly operand: Node; readonly cell: Cell }
  | {
      readonly kind: 'unpackBits';
      readonly operand: Node;
      readonly cell: Cell;
      readonly order: 'big' | 'little';
    }
  | { readonly kind: 'slice'; readonly operand: Node; readonly at: readonly SliceAt[] }
  | { readonly kind: 'generate'; readonly type: TensorType; readonly body: Node }
  | {
      readonly kind: 'literal';
      readonly type: TensorType;
      readonly cells: readonly { readonly address: readonly string[]; readonly value: Node }[];
    }
  /** Legal in Vespa, and nothing the emulator can evaluate. */
  | { readonly kind: 'unsupported'; readonly name: string; readonly args: readonly Node[] };

/** A rank feature, a function of the profile, a constant, or a parameter: `attribute(title)`, `term(0).significance`. */
export interface Reference {
  readonly kind: 'reference';
  readonly name: string;
  readonly args: readonly Node[];
  readonly output?: string;
  /** Canonical text, as Vespa prints it in errors and in `matchfeatures`. */
  readonly text: string;
}

/** All nodes directly under one; lambda bodies are not: they see none of the names around them. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'number':
    case 'string':
      return [];
    case 'reference':
    case 'cellwise':
    case 'unsupported':
      return node.args;
    case 'operation':
    case 'join':
    case 'merge':
    case 'concat':
      return [node.left, node.right];
    case 'in':
      return [node.operand, ...node.set];
    case 'if':
      return [node.condition, node.then, node.otherwise];
    case 'negate':
    case 'not':
    case 'reduce':
    case 'map':
    case 'rename':
    case 'cellCast':
    case 'unpackBits':
      return [node.operand];
    case 'slice':
      return [node.operand, ...node.at.flatMap(({ label }) => (typeof label === 'string' ? [] : [label]))];
    case 'generate':
      return [node.body];
    case 'literal':
      return node.cells.map(({ value }) => value);
  }
}
