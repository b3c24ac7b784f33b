/** Ops that move codes: the input position of every output position. */
import { type Op, OpKind, PadMode, type TensorSpec } from '../../../src/program/program';
import { nearestIndex } from './resize';
import { indexOf, makeTensor, positions, type ReferenceTensor } from './tensor';

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** @param source the position in the input of a position in the output, or undefined for `fill` */
function gather(
  input: ReferenceTensor,
  spec: TensorSpec,
  shape: readonly number[],
  source: (position: readonly number[]) => number[] | undefined,
  fill = 0,
): ReferenceTensor {
  const values = Array.from(positions(shape), (position) => {
    const from = source(position);
    return from ? input.values[indexOf(input.shape, from)]! : fill;
  });
  return makeTensor(spec, shape, values);
}

/** Goes back and forth over 0 ... extent - 1; the border elements once (reflect) or twice (symmetric). */
function mirror(at: number, extent: number, mode: PadMode): number {
  const turn = mode === PadMode.Symmetric ? 1 : 0;
  if (at < 0) return -at - turn;
  return at < extent ? at : 2 * (extent - 1) - at + turn;
}

export function pad(op: OpOf<OpKind.Pad>, input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const shape = input.shape.map((dim, axis) => dim + op.paddings[axis]![0] + op.paddings[axis]![1]);
  const source = (position: readonly number[]) => {
    const at = position.map((p, axis) => p - op.paddings[axis]![0]);
    if (op.mode !== PadMode.Constant) return at.map((p, axis) => mirror(p, input.shape[axis]!, op.mode));
    return at.every((p, axis) => p >= 0 && p < input.shape[axis]!) ? at : undefined;
  };
  return gather(input, spec, shape, source, op.code);
}

export function slice(op: OpOf<OpKind.Slice>, input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const shape = op.ranges.map(({ begin, size, stride }, axis) =>
    size === -1 ? Math.ceil((input.shape[axis]! - begin) / stride) : size,
  );
  return gather(input, spec, shape, (position) =>
    position.map((p, axis) => op.ranges[axis]!.begin + p * op.ranges[axis]!.stride),
  );
}

export function transpose(
  op: OpOf<OpKind.Transpose>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const shape = op.axes.map((axis) => input.shape[axis]!);
  return gather(input, spec, shape, (position) => {
    const from: number[] = [];
    for (const [i, axis] of op.axes.entries()) from[axis] = position[i]!;
    return from;
  });
}

export function spaceDepth(
  op: OpOf<OpKind.SpaceToDepth | OpKind.DepthToSpace>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const { block } = op;
  const [n, h, w, c] = input.shape as [number, number, number, number];
  if (op.kind === OpKind.DepthToSpace) {
    const channels = c / block ** 2;
    return gather(input, spec, [n, h * block, w * block, channels], ([b, y, x, k]) => {
      const pixel = (y! % block) * block + (x! % block);
      return [b!, Math.floor(y! / block), Math.floor(x! / block), pixel * channels + k!];
    });
  }
  return gather(input, spec, [n, h / block, w / block, c * block ** 2], ([b, y, x, k]) => {
    const pixel = Math.floor(k! / c);
    return [b!, y! * block + Math.floor(pixel / block), x! * block + (pixel % block), k! % c];
  });
}

export function resizeNearest(
  op: OpOf<OpKind.ResizeNearestNeighbor>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const { height, width } = op.size;
  const [n, h, w, c] = input.shape as [number, number, number, number];
  return gather(input, spec, [n, height, width, c], ([b, y, x, k]) => [
    b!,
    nearestIndex(op.size, y!, h, height),
    nearestIndex(op.size, x!, w, width),
    k!,
  ]);
}
