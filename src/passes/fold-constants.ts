/**
 * Constant folding: an op whose inputs are all constants is its result.
 *
 * Pattern: Identity, Cast, Reshape, Squeeze, ExpandDims, Transpose, or float32 arithmetic, on constants.
 * Replacement: a constant of the same name, each operation rounded to float32 as TF.js rounds it.
 * Declines: an output of the model; a result larger than its inputs and 65,536 elements (broadcasts could fill memory).
 */
import { dtypeAttr, intsAttr } from '../graph/attrs';
import { constantOf, GraphEditor, outputNodes } from '../graph/edit';
import type { Constant, Graph, GraphNode } from '../graph/ir';
import { ChangeLog, type Pass } from './pass';

const MAX_GROWN_ELEMENTS = 65536;

const UNARY: Readonly<Record<string, (x: number) => number>> = {
  Neg: (x) => -x,
  Square: (x) => x * x,
  Sqrt: Math.sqrt,
  Rsqrt: (x) => 1 / Math.sqrt(x),
  Reciprocal: (x) => 1 / x,
};

const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  AddV2: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  RealDiv: (a, b) => a / b,
  Maximum: Math.max,
  Minimum: Math.min,
};

const elements = (shape: readonly number[]) => shape.reduce((p, d) => p * d, 1);

function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) result[i] = result[i + 1] * shape[i + 1];
  return result;
}

/** Gathers: element i of the result is the source's at the sum of its coordinates times `steps`. */
function gather(source: Constant, shape: readonly number[], steps: readonly number[]): Constant['values'] {
  const result = source.values.slice(0, 0).constructor as { new (n: number): Constant['values'] };
  const values = new result(elements(shape));
  const own = strides(shape);
  for (let i = 0; i < values.length; i++) {
    let at = 0;
    for (let axis = 0; axis < shape.length; axis++)
      at += (Math.floor(i / own[axis]) % shape[axis]) * steps[axis];
    values[i] = source.values[at];
  }
  return values;
}

function broadcastTo(source: Constant, shape: readonly number[]): Constant['values'] {
  const own = strides(source.shape);
  const offset = shape.length - source.shape.length;
  const steps = shape.map((_, axis) => ((source.shape[axis - offset] ?? 1) === 1 ? 0 : own[axis - offset]));
  return gather(source, shape, steps);
}

function broadcastShape(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const dims = Array.from({ length: rank }, (_, i) => [
    a[i - rank + a.length] ?? 1,
    b[i - rank + b.length] ?? 1,
  ]);
  if (dims.some(([x, y]) => x !== y && x !== 1 && y !== 1)) return undefined;
  return dims.map(([x, y]) => (x === 1 ? y! : x!));
}

function binary(f: (a: number, b: number) => number, a: Constant, b: Constant): Constant | undefined {
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return undefined;
  const shape = broadcastShape(a.shape, b.shape);
  if (!shape) return undefined;
  const size = elements(shape);
  if (size > Math.max(a.values.length, b.values.length, MAX_GROWN_ELEMENTS)) return undefined;
  const [x, y] = [broadcastTo(a, shape), broadcastTo(b, shape)];
  return { dtype: 'float32', shape, values: Float32Array.from({ length: size }, (_, i) => f(x[i], y[i])) };
}

function cast(node: GraphNode, x: Constant): Constant | undefined {
  const to = dtypeAttr(node, 'DstT');
  if (to === x.dtype) return x;
  if (x.dtype === 'string' || x.dtype === 'complex64') return undefined;
  if (to === 'float32') return { ...x, dtype: to, values: Float32Array.from(x.values) };
  return to === 'int32' ? { ...x, dtype: to, values: Int32Array.from(x.values, Math.trunc) } : undefined;
}

function reshaped(x: Constant, shape: readonly number[]): Constant | undefined {
  if (shape.filter((d) => d < 0).length > 1) return undefined;
  const rest = shape.reduce((p, d) => (d < 0 ? p : p * d), 1);
  const full = shape.map((d) => (d < 0 ? elements(x.shape) / rest : d));
  return elements(full) === elements(x.shape) && full.every(Number.isInteger)
    ? { ...x, shape: full }
    : undefined;
}

function fold(node: GraphNode, [x, y]: readonly Constant[]): Constant | undefined {
  if (!x) return undefined;
  const unary = UNARY[node.op];
  if (unary) return x.dtype === 'float32' ? { ...x, values: Float32Array.from(x.values, unary) } : undefined;
  const arithmetic = BINARY[node.op];
  if (arithmetic) return y && binary(arithmetic, x, y);
  switch (node.op) {
    case 'Identity':
      return x;
    case 'Cast':
      return cast(node, x);
    case 'Reshape':
      return y && reshaped(x, Array.from(y.values));
    case 'Squeeze': {
      const dims = intsAttr(node, 'squeeze_dims').map((d) => (d < 0 ? d + x.shape.length : d));
      return { ...x, shape: x.shape.filter((d, i) => (dims.length > 0 ? !dims.includes(i) : d !== 1)) };
    }
    case 'ExpandDims': {
      const axis = y?.values[0];
      return axis === undefined
        ? undefined
        : { ...x, shape: x.shape.toSpliced(axis < 0 ? axis + x.shape.length + 1 : axis, 0, 1) };
    }
    case 'Transpose': {
      if (!y || x.dtype === 'string' || x.dtype === 'complex64') return undefined;
      const own = strides(x.shape);
      const order = Array.from(y.values);
      const shape = order.map((axis) => x.shape[axis]);
      return {
        ...x,
        shape,
        values: gather(
          x,
          shape,
          order.map((axis) => own[axis]),
        ),
      };
    }
    default:
      return undefined;
  }
}

export const foldConstants: Pass = {
  name: 'fold-constants',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    const kept = outputNodes(graph);
    for (const node of graph.nodes.values()) {
      if (node.inputs.length === 0 || kept.has(node.name) || node.inputs.some((i) => i.index !== 0)) continue;
      const inputs = node.inputs.map((i) => constantOf(editor, i));
      if (inputs.includes(undefined)) continue;
      const result = fold(node, inputs as Constant[]);
      if (!result || result.values.some((v) => !Number.isFinite(v))) continue;
      editor.setConstant(node.name, result);
      log.rewrote(node.name, `${node.op} of constants`);
    }
    return { graph: editor.finish(), changes: log.changes };
  },
};
