/**
 * Einsum of two tensors as a product of matrices, between transposes and reshapes.
 *
 * Identity: letters of both operands and the result count batches, those of both operands alone are summed over, the others
 * are rows of the first and columns of the second. So the first, transposed, is [batches, rows, sums], the second
 * [batches, sums, columns], and their product the result before its axes are put in order.
 * Pattern: two operands whose letters are all of one of these kinds, none of them twice in an operand. Without batches the
 * second is one matrix, as the weights of a dense layer on the last axis.
 * Declines: ellipses, diagonals, letters that are summed in one operand alone, more than one unknown size where axes are
 * joined.
 */
import { attr, stringAttr } from '../graph/attrs';
import { GraphEditor, output, refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../graph/ir';
import { einsumAxes } from '../graph/shapes/products';
import { ChangeLog, type Pass } from './pass';

interface Letters {
  readonly operands: readonly [string, string];
  readonly result: string;
  readonly batches: string;
  readonly sums: string;
  readonly rows: string;
  readonly columns: string;
}

const distinct = (letters: string) => new Set(letters).size === letters.length;

/** Why an equation is no product of matrices, or its letters by what they count. */
function lettersOf(equation: string): Letters | string {
  if (equation.includes('.')) return 'it has an ellipsis';
  const { operands, result } = einsumAxes(equation);
  const [a, b] = operands;
  if (operands.length !== 2) return `it has ${operands.length} operands`;
  if (![a, b, result].every(distinct)) return 'a letter comes twice';
  const of = (letters: string, inA: boolean, inB: boolean, inResult: boolean) =>
    [...letters]
      .filter((c) => a.includes(c) === inA && b.includes(c) === inB && result.includes(c) === inResult)
      .join('');
  const alone = of(a, true, false, false) + of(b, false, true, false);
  if (alone !== '') return `'${alone}' is summed in one operand alone`;
  const sums = of(a, true, true, false);
  if (sums === '') return 'it sums over nothing';
  return {
    operands: [a, b],
    result,
    batches: of(result, true, true, true),
    sums,
    rows: of(result, true, false, true),
    columns: of(result, false, true, true),
  };
}

/** Adds nodes with names derived from one. */
class Builder {
  constructor(
    private readonly editor: GraphEditor,
    private readonly node: GraphNode,
    private readonly sizes: ReadonlyMap<string, number>,
  ) {}

  private add(
    what: string,
    op: string,
    inputs: readonly TensorRef[],
    attrs: GraphNode['attrs'] = {},
  ): TensorRef {
    const name = this.editor.freeName(`${this.node.name}/${what}`);
    this.editor.setNode({ name, op, inputs, attrs: { T: attr.dtype('float32'), ...attrs } });
    return output(name);
  }

  private integers(what: string, values: readonly number[]): TensorRef {
    const typed = Int32Array.from(values);
    const constant = { dtype: 'int32' as const, shape: [values.length], values: typed };
    return this.editor.addConstant(`${this.node.name}/${what}`, constant);
  }

  /** Puts the axes of a tensor in another order. */
  ordered(ref: TensorRef, from: string, to: string): TensorRef {
    if (from === to) return ref;
    const axes = this.integers(
      'order',
      [...to].map((letter) => from.indexOf(letter)),
    );
    return this.add('ordered', 'Transpose', [ref, axes]);
  }

  /** Joins axes, each given by its letters. */
  joined(ref: TensorRef, axes: readonly string[]): TensorRef {
    if (axes.every((letters) => letters.length === 1)) return ref;
    return this.reshaped(
      ref,
      axes.map((letters) => this.size(letters)),
    );
  }

  /** Takes joined axes apart. */
  apart(ref: TensorRef, axes: readonly string[]): TensorRef {
    if (axes.every((letters) => letters.length === 1)) return ref;
    return this.reshaped(
      ref,
      [...axes.join('')].map((letter) => this.size(letter)),
    );
  }

  private reshaped(ref: TensorRef, shape: readonly number[]): TensorRef {
    return this.add('reshaped', 'Reshape', [ref, this.integers('shape', shape)]);
  }

  product(a: TensorRef, b: TensorRef): TensorRef {
    return this.add('product', 'BatchMatMulV2', [a, b], { adj_x: attr.bool(false), adj_y: attr.bool(false) });
  }

  /** -1 where one of the letters' sizes is not known. */
  private size(letters: string): number {
    const sizes = [...letters].map((letter) => this.sizes.get(letter) ?? -1);
    return sizes.includes(-1) ? -1 : sizes.reduce((product, size) => product * size, 1);
  }
}

/** The size of each letter, as far as it is known. */
function sizesOf(shapes: Shapes, node: GraphNode, { operands }: Letters): Map<string, number> | undefined {
  const sizes = new Map<string, number>();
  for (const [i, letters] of operands.entries()) {
    const shape = shapes.get(refKey(node.inputs[i]));
    if (shape?.length !== letters.length) return undefined;
    [...letters].forEach((letter, axis) => {
      if ((sizes.get(letter) ?? -1) < 0) sizes.set(letter, shape[axis]);
    });
  }
  return sizes;
}

/** Whether a reshape can infer the one size that is not known. */
function canReshape(sizes: ReadonlyMap<string, number>, { batches, sums, rows, columns }: Letters): boolean {
  const unknown = (letters: string) => [...letters].filter((letter) => (sizes.get(letter) ?? -1) < 0).length;
  return [batches + rows + sums, batches + sums + columns, batches + rows + columns].every(
    (letters) => unknown(letters) < 2,
  );
}

export const decomposeEinsum: Pass = {
  name: 'decompose-einsum',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const sums = [...graph.nodes.values()].filter(({ op }) => op === 'Einsum');
    if (sums.length === 0) return { graph, changes: [] };
    const shapes = inferShapes(graph);
    const editor = new GraphEditor(graph);
    for (const node of sums) {
      const letters = lettersOf(stringAttr(node, 'equation') ?? '');
      const sizes = typeof letters === 'string' ? undefined : sizesOf(shapes, node, letters);
      if (typeof letters === 'string' || !sizes || !canReshape(sizes, letters)) {
        log.declined(
          node.name,
          `not decomposed: ${typeof letters === 'string' ? letters : 'its sizes are not known'}`,
        );
        continue;
      }
      const { operands, result, batches, sums: summed, rows, columns } = letters;
      const builder = new Builder(editor, node, sizes);
      const [a, b] = node.inputs.map((ref, i) =>
        builder.ordered(ref, operands[i], batches + (i === 0 ? rows + summed : summed + columns)),
      );
      const each = [...batches];
      // Without batches, every axis of the rows but the last may be one.
      const ofRows = batches === '' && rows !== '' ? [...rows] : [rows];
      const first = builder.joined(a, [...each, ...ofRows, summed]);
      const second = builder.joined(b, [...each, summed, columns]);
      const product = builder.apart(builder.product(first, second), [...each, ...ofRows, columns]);
      const ordered = builder.ordered(product, batches + rows + columns, result);
      const last = editor.nodes.get(ordered.node);
      if (!last) continue;
      editor.remove(last.name);
      editor.setNode({ ...last, name: node.name });
      log.rewrote(node.name, `Einsum as a product of matrices`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
