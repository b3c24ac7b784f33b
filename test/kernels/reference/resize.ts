/** The arithmetic of TensorFlow's resizing ops: positions in float64, values in float32. */
import type { Op, OpKind, ResizeSize, TensorSpec } from '../../../src/program/program';
import { dequantize, quantizeReals } from './elementwise';
import { indexOf, isFloat, makeTensor, type ReferenceTensor } from './tensor';
import { outputPositions } from './window';

const fround = Math.fround;

function ratio({ alignCorners }: ResizeSize, input: number, output: number): number {
  const corner = alignCorners && output > 1 ? 1 : 0;
  return (input - corner) / (output - corner);
}

const within = (at: number, extent: number) => Math.min(Math.max(at, 0), extent - 1);

/** The element that stands for output element `index` along an axis. */
export function nearestIndex(size: ResizeSize, index: number, input: number, output: number): number {
  const at = ratio(size, input, output) * (size.halfPixelCenters ? index + 0.5 : index);
  return within(Math.floor(size.alignCorners ? at + 0.5 : at), input);
}

/** The two elements around output element `index`, and how far it is from the first. */
function between(size: ResizeSize, index: number, input: number, output: number) {
  const step = ratio(size, input, output);
  const at = size.halfPixelCenters ? step * (index + 0.5) - 0.5 : step * index;
  const first = within(Math.floor(at), input);
  return { first, second: within(Math.ceil(at), input), fraction: fround(at - first) };
}

/** a + (b - a) * fraction, each operation rounded to float32. */
const blend = (a: number, b: number, fraction: number) => fround(a + fround(fround(b - a) * fraction));

/** Between the rows first, then between the columns, on real values. */
export function resizeBilinear(
  op: Extract<Op, { kind: OpKind.ResizeBilinear }>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const { height, width } = op.size;
  const [n, h, w, c] = input.shape as [number, number, number, number];
  const { values } = dequantize(input, spec);
  const shape = [n, height, width, c];
  const floats = Array.from(outputPositions(shape), ({ batch, y, x, channel }) => {
    const rows = between(op.size, y, h, height);
    const columns = between(op.size, x, w, width);
    const real = (row: number, column: number) =>
      values[indexOf(input.shape, [batch, row, column, channel])]!;
    const at = (column: number) => blend(real(rows.first, column), real(rows.second, column), rows.fraction);
    return blend(at(columns.first), at(columns.second), columns.fraction);
  });
  const result = makeTensor(spec, shape, floats);
  return isFloat(spec) ? result : quantizeReals(result, spec);
}
