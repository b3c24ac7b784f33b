/**
 * Follows the values of shape arithmetic: small tensors of numbers that come of shapes and constants. NaN stands for an
 * element that is known only at run time, and goes through sums and products as such.
 */
import { dtypeAttr, numberAttr } from '../attrs';
import type { GraphNode, TensorRef } from '../ir';
import { resolveStridedSlice } from '../strided-slice';
import { axisOf, constantsOf, elements, type Known, MAX_VALUES, shapeOf, valuesOf } from './known';

type Values = readonly number[];
type ValueRule = (node: GraphNode, known: Known) => Values | undefined;

const first: ValueRule = (node, known) => valuesOf(known, node.inputs[0]);

const sizesAsValues = (known: Known, ref: TensorRef) =>
  shapeOf(known, ref)?.map((d) => (d < 0 ? Number.NaN : d));

const ofShape: ValueRule = (node, known) => sizesAsValues(known, node.inputs[0]);

const size: ValueRule = (node, known) => {
  const sizes = ofShape(node, known);
  return sizes && [elements(sizes)];
};

const rank: ValueRule = (node, known) => {
  const shape = shapeOf(known, node.inputs[0]);
  return shape && [shape.length];
};

function mapped(f: (x: number) => number): ValueRule {
  return (node, known) => first(node, known)?.map(f);
}

/** A value for each of several; one alone stands for all. */
function elementwise(f: (a: number, b: number) => number): ValueRule {
  return (node, known) => {
    const [a, b] = node.inputs.map((i) => valuesOf(known, i));
    if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined;
    const count = a.length === 1 ? b.length : a.length;
    return Array.from({ length: count }, (_, i) => f(a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]));
  };
}

/** Whole numbers stay whole: TensorFlow's division rounds towards zero. */
const divide: ValueRule = (node, known) => {
  const whole = dtypeAttr(node, 'T') === 'int32';
  return elementwise((a, b) => (whole ? Math.trunc(a / b) : a / b))(node, known);
};

const cast: ValueRule = (node, known) => {
  const whole = dtypeAttr(node, 'DstT') === 'int32';
  return first(node, known)?.map((v) => (whole ? Math.trunc(v) : v));
};

/** Over all of a vector. */
function reduced(f: (a: number, b: number) => number): ValueRule {
  return (node, known) => {
    const values = first(node, known);
    const axes = constantsOf(known, node.inputs[1]);
    const from = shapeOf(known, node.inputs[0]);
    if (!values || from?.length !== 1 || !axes) return undefined;
    if (axes.length === 0) return values;
    if (values.length === 0) return node.op === 'Prod' ? [1] : node.op === 'Sum' ? [0] : undefined;
    return [values.reduce(f)];
  };
}

const pack: ValueRule = (node, known) => {
  const parts = node.inputs.map((i) => {
    const scalar = shapeOf(known, i)?.length === 0;
    return valuesOf(known, i) ?? (scalar ? [Number.NaN] : undefined);
  });
  return parts.every((p) => p?.length === 1) ? parts.flatMap((p) => [...p!]) : undefined;
};

/** Parts of known length may have values that are not known. */
const concat: ValueRule = (node, known) => {
  const parts = node.inputs.slice(0, -1).map((i) => {
    const shape = shapeOf(known, i);
    const length = shape?.length === 1 ? shape[0] : -1;
    return valuesOf(known, i) ?? (length >= 0 ? new Array<number>(length).fill(Number.NaN) : undefined);
  });
  return parts.every((p) => p !== undefined) ? parts.flatMap((p) => [...p!]) : undefined;
};

const stridedSlice: ValueRule = (node, known) => {
  const values = first(node, known);
  const shape = shapeOf(known, node.inputs[0]);
  const [begin, end, strides] = [1, 2, 3].map((i) => constantsOf(known, node.inputs[i]));
  if (!values || shape?.length !== 1 || !begin || !end || !strides) return undefined;
  const [axis] = resolveStridedSlice(node, [values.length], begin, end, strides)?.axes ?? [];
  if (!axis || axis.start < 0) return undefined;
  return Array.from({ length: axis.size }, (_, i) => values[axis.start + i * axis.stride]);
};

const slice: ValueRule = (node, known) => {
  const values = first(node, known);
  const [begin, count] = [1, 2].map((i) => constantsOf(known, node.inputs[i]));
  if (!values || begin?.length !== 1 || count?.length !== 1) return undefined;
  return values.slice(begin[0], count[0] < 0 ? undefined : begin[0] + count[0]);
};

const gather: ValueRule = (node, known) => {
  const values = first(node, known);
  const indices = constantsOf(known, node.inputs[1]);
  if (!values || !indices || shapeOf(known, node.inputs[0])?.length !== 1) return undefined;
  return indices.map((i) => values[axisOf(i, values.length)]);
};

/** Rows of one index each into a vector. */
const gatherNd: ValueRule = (node, known) =>
  shapeOf(known, node.inputs[1])?.at(-1) === 1 ? gather(node, known) : undefined;

const range: ValueRule = (node, known) => {
  const [start, limit, delta] = node.inputs.map((i) => constantsOf(known, i)?.[0] ?? Number.NaN);
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  return count <= MAX_VALUES ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined;
};

const fill: ValueRule = (node, known) => {
  const shape = constantsOf(known, node.inputs[0]);
  const value = valuesOf(known, node.inputs[1])?.[0];
  if (!shape || value === undefined || elements(shape) > MAX_VALUES) return undefined;
  return new Array<number>(elements(shape)).fill(value);
};

const truth = (f: (a: number, b: number) => boolean) =>
  elementwise((a, b) => (Number.isNaN(a + b) ? Number.NaN : Number(f(a, b))));

const select: ValueRule = (node, known) => {
  const [condition, a, b] = node.inputs.map((i) => valuesOf(known, i));
  if (!condition || !a || a.length !== b?.length) return undefined;
  return a.map((v, i) => {
    const chosen = condition[condition.length === 1 ? 0 : i];
    return Number.isNaN(chosen) ? Number.NaN : chosen ? v : b[i];
  });
};

const RULES: ReadonlyMap<string, ValueRule> = new Map([
  ['Shape', ofShape],
  ['Size', size],
  ['Rank', rank],
  ['Pack', pack],
  ['ConcatV2', concat],
  ['StridedSlice', stridedSlice],
  ['Slice', slice],
  ['GatherV2', gather],
  ['Gather', gather],
  ['GatherNd', gatherNd],
  ['Range', range],
  ['Fill', fill],
  ['Cast', cast],
  ...['Identity', 'Snapshot', 'StopGradient', 'Reshape', 'ExpandDims', 'Squeeze', 'EnsureShape', 'Enter'].map(
    (op): [string, ValueRule] => [op, first],
  ),
  ['Add', elementwise((a, b) => a + b)],
  ['AddV2', elementwise((a, b) => a + b)],
  ['Sub', elementwise((a, b) => a - b)],
  ['Mul', elementwise((a, b) => a * b)],
  ['RealDiv', divide],
  ['Div', divide],
  ['FloorDiv', elementwise((a, b) => Math.floor(a / b))],
  ['FloorMod', elementwise((a, b) => a - b * Math.floor(a / b))],
  ['Maximum', elementwise(Math.max)],
  ['Minimum', elementwise(Math.min)],
  ['Neg', mapped((v) => -v)],
  ['Abs', mapped(Math.abs)],
  ['Ceil', mapped(Math.ceil)],
  ['Floor', mapped(Math.floor)],
  ['Reciprocal', mapped((v) => 1 / v)],
  ['Prod', reduced((a, b) => a * b)],
  ['Sum', reduced((a, b) => a + b)],
  ['Max', reduced(Math.max)],
  ['Min', reduced(Math.min)],
  ['Equal', truth((a, b) => a === b)],
  ['NotEqual', truth((a, b) => a !== b)],
  ['Greater', truth((a, b) => a > b)],
  ['GreaterEqual', truth((a, b) => a >= b)],
  ['Less', truth((a, b) => a < b)],
  ['LessEqual', truth((a, b) => a <= b)],
  ['LogicalAnd', truth((a, b) => a !== 0 && b !== 0)],
  ['LogicalOr', truth((a, b) => a !== 0 || b !== 0)],
  ['LogicalNot', mapped((v) => (Number.isNaN(v) ? v : Number(v === 0)))],
  ['Select', select],
  ['SelectV2', select],
]);

/** Values of a node's outputs, as many as are known. */
export function inferValues(node: GraphNode, known: Known): readonly (Values | undefined)[] {
  if (node.op === 'Unpack') {
    const values = first(node, known);
    return shapeOf(known, node.inputs[0])?.length === 1 ? (values?.map((v) => [v]) ?? []) : [];
  }
  if (node.op === 'ShapeN') return node.inputs.map((ref) => sizesAsValues(known, ref));
  if (node.op === 'Switch') {
    const values = first(node, known);
    return [values, values];
  }
  if (node.op === 'Split' && (numberAttr(node, 'num_split') ?? 0) > 0) {
    const values = valuesOf(known, node.inputs[1]);
    const parts = numberAttr(node, 'num_split')!;
    if (!values || shapeOf(known, node.inputs[1])?.length !== 1) return [];
    const length = values.length / parts;
    return Array.from({ length: parts }, (_, i) => values.slice(i * length, (i + 1) * length));
  }
  return [RULES.get(node.op)?.(node, known)];
}
