/** Shapes of ops that reshape, cut, join, repeat and look up. */
import { intsAttr, numberAttr } from '../attrs';
import { resolveStridedSlice } from '../strided-slice';
import {
  axisOf,
  constantsOf,
  elements,
  invalid,
  type ManyRule,
  type Rule,
  type Shape,
  shapeOf,
  sizesOf,
  valuesOf,
} from './known';

export const reshape: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const target = valuesOf(known, node.inputs[1]);
  const rank = shapeOf(known, node.inputs[1])?.[0];
  if (!target) return rank !== undefined && rank >= 0 ? new Array<number>(rank).fill(-1) : undefined;
  const sizes = sizesOf(target);
  const unknown = sizes.filter((d) => d < 0).length;
  if (!input || input.some((d) => d < 0) || unknown !== 1) return sizes;
  const size = elements(input);
  const rest = elements(sizes.filter((d) => d >= 0));
  if (rest === 0 || size % rest !== 0) throw invalid(node, `cannot reshape [${input}] to [${target}].`);
  return sizes.map((d) => (d < 0 ? size / rest : d));
};

export const squeeze: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const dims = intsAttr(node, 'squeeze_dims').concat(intsAttr(node, 'axis'));
  if (!input) return undefined;
  if (dims.length === 0) return input.includes(-1) ? undefined : input.filter((d) => d !== 1);
  const removed = new Set(dims.map((d) => axisOf(d, input.length)));
  return input.filter((_, i) => !removed.has(i));
};

export const expandDims: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const axis = constantsOf(known, node.inputs[1])?.[0] ?? numberAttr(node, 'axis');
  return input && axis !== undefined ? input.toSpliced(axisOf(axis, input.length + 1), 0, 1) : undefined;
};

/** Inputs of unknown rank have that of the others. */
export const concat: Rule = (node, known) => {
  const axisFirst = node.op === 'Concat';
  const parts = axisFirst ? node.inputs.slice(1) : node.inputs.slice(0, -1);
  const shapes = parts.map((i) => shapeOf(known, i));
  const axis = constantsOf(known, node.inputs.at(axisFirst ? 0 : -1))?.[0];
  const first = shapes.find((s) => s !== undefined);
  if (!first || axis === undefined || shapes.some((s) => s && s.length !== first.length)) return undefined;
  const at = axisOf(axis, first.length);
  return first.map((_, i) => {
    const sizes = shapes.map((s) => s?.[i] ?? -1);
    if (i !== at) return Math.max(...sizes);
    return sizes.includes(-1) ? -1 : sizes.reduce((sum, d) => sum + d, 0);
  });
};

export const pad: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const pads = valuesOf(known, node.inputs[1]);
  const size = (d: number, i: number) => (pads && d >= 0 ? d + pads[i * 2] + pads[i * 2 + 1] : -1);
  return input && sizesOf(input.map(size));
};

export const transpose: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const order = constantsOf(known, node.inputs[1]);
  return input && order ? order.map((axis) => input[axisOf(axis, input.length)] ?? -1) : undefined;
};

export const stridedSlice: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const [begin, end, strides] = [1, 2, 3].map((i) => valuesOf(known, node.inputs[i]));
  return input && begin && end && strides
    ? resolveStridedSlice(node, input, begin, end, strides)?.shape
    : undefined;
};

export const slice: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const [begin, size] = [1, 2].map((i) => valuesOf(known, node.inputs[i]));
  if (!input || !size) return input?.map(() => -1);
  // A size of -1 means the rest; one that is not known is another thing.
  const rest = (i: number) => (input[i] < 0 || !begin ? -1 : input[i] - begin[i]);
  return sizesOf(input.map((_, i) => (size[i] === -1 ? rest(i) : size[i])));
};

/** Split's inputs are the axis and the tensor, SplitV's the tensor, the sizes and the axis. */
export const split: ManyRule = (node, known) => {
  const sized = node.op === 'SplitV';
  const input = shapeOf(known, node.inputs[sized ? 0 : 1]);
  const axis = constantsOf(known, node.inputs[sized ? 2 : 0])?.[0];
  if (!input || axis === undefined) return [];
  const at = axisOf(axis, input.length);
  const parts = numberAttr(node, 'num_split') ?? 1;
  const sizes = sized
    ? valuesOf(known, node.inputs[1])
    : new Array<number>(parts).fill(input[at] < 0 ? Number.NaN : input[at] / parts);
  const given = sizes?.reduce((sum, d) => sum + (d === -1 ? 0 : d), 0) ?? Number.NaN;
  const rest = input[at] < 0 ? Number.NaN : input[at] - given;
  return sizes?.map((size) => input.with(at, sizesOf([size === -1 ? rest : size])[0])) ?? [];
};

export const unpack: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  if (!input) return [];
  const at = axisOf(numberAttr(node, 'axis') ?? 0, input.length);
  const count = input[at] < 0 ? (numberAttr(node, 'num') ?? 0) : input[at];
  return new Array<Shape>(count).fill(input.toSpliced(at, 1));
};

export const pack: Rule = (node, known) => {
  const shape = node.inputs.map((i) => shapeOf(known, i)).find((s) => s !== undefined);
  return shape?.toSpliced(axisOf(numberAttr(node, 'axis') ?? 0, shape.length + 1), 0, node.inputs.length);
};

export const gather: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const indices = shapeOf(known, node.inputs[1]);
  const axis = node.op === 'Gather' ? 0 : constantsOf(known, node.inputs[2])?.[0];
  if (!input || !indices || axis === undefined) return undefined;
  const at = axisOf(axis, input.length);
  const batchDims = axisOf(numberAttr(node, 'batch_dims') ?? 0, indices.length);
  return [...input.slice(0, at), ...indices.slice(batchDims), ...input.slice(at + 1)];
};

/** The last axis of the indices counts axes of the input. */
export const gatherNd: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const indices = shapeOf(known, node.inputs[1]);
  const depth = indices?.at(-1) ?? -1;
  return input && indices && depth >= 0 ? [...indices.slice(0, -1), ...input.slice(depth)] : undefined;
};

export const tile: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const times = valuesOf(known, node.inputs[1]);
  return input && sizesOf(input.map((d, i) => (d < 0 ? -1 : d * (times?.[i] ?? Number.NaN))));
};

/** A tensor of the shape that one of the inputs holds. */
export const shapeIn =
  (position: number): Rule =>
  (node, known) => {
    const sizes = valuesOf(known, node.inputs[position]);
    const rank = shapeOf(known, node.inputs[position])?.[0] ?? -1;
    if (sizes) return sizesOf(sizes);
    return rank >= 0 ? new Array<number>(rank).fill(-1) : undefined;
  };

export const broadcastTo: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const target = shapeIn(1)(node, known);
  // A size above 1 stays as it is.
  return target?.map((d, i) => {
    const own = input?.[i - target.length + input.length] ?? 1;
    return d < 0 && own > 1 ? own : d;
  });
};

export const oneHot: Rule = (node, known) => {
  const indices = shapeOf(known, node.inputs[0]);
  const depth = valuesOf(known, node.inputs[1])?.[0] ?? Number.NaN;
  const axis = numberAttr(node, 'axis') ?? -1;
  return indices?.toSpliced(axis < 0 ? indices.length : axis, 0, sizesOf([depth])[0]);
};

export const range: Rule = (node, known) => {
  const [start, limit, delta] = node.inputs.map((i) => valuesOf(known, i)?.[0] ?? Number.NaN);
  return sizesOf([Math.max(0, Math.ceil((limit - start) / delta))]);
};

/** `num` numbers between two others. */
export const linSpace: Rule = (node, known) => sizesOf([valuesOf(known, node.inputs[2])?.[0] ?? Number.NaN]);

/** Places of what is not zero. */
export const where: Rule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  return input && [-1, input.length];
};

export const topK: ManyRule = (node, known) => {
  const input = shapeOf(known, node.inputs[0]);
  const k = sizesOf([valuesOf(known, node.inputs[1])?.[0] ?? Number.NaN])[0];
  const shape = input && input.length > 0 ? input.with(-1, k) : undefined;
  return [shape, shape];
};

/** NonMaxSuppression: the boxes kept, and (version 5) their scores, then (versions 4 and 5) how many they are. */
export const nonMaxSuppression: ManyRule = (node, known) => {
  const padded = node.attrs.pad_to_max_output_size?.b === true;
  const most = sizesOf([valuesOf(known, node.inputs[2])?.[0] ?? Number.NaN]);
  const kept = padded ? most : [-1];
  if (node.op === 'NonMaxSuppressionV4') return [kept, []];
  return node.op === 'NonMaxSuppressionV5' ? [kept, kept, []] : [kept];
};

/** Sparse tensors are indices [count, rank], values and a shape. */
export const sparseReshape: ManyRule = (node, known) => {
  const rank = shapeOf(known, node.inputs[2])?.[0] ?? -1;
  return [[shapeOf(known, node.inputs[0])?.[0] ?? -1, rank], [rank]];
};

/** Indices, values, which rows were empty, and where each value went. */
export const sparseFillEmptyRows: ManyRule = (node, known) => {
  const rows = valuesOf(known, node.inputs[2])?.[0] ?? Number.NaN;
  const rank = shapeOf(known, node.inputs[0])?.[1] ?? -1;
  return [[-1, rank], [-1], sizesOf([rows]), shapeOf(known, node.inputs[1]) ?? [-1]];
};

/** Rows of the data, added up by segments. */
export const sparseSegments: Rule = (node, known) => {
  const data = shapeOf(known, node.inputs[0]);
  return data && [-1, ...data.slice(1)];
};
