import type { Op, OpKind, TensorSpec } from '../../../src/program/program';
import { clamp, store, storeScale } from './requantize';
import { indexOf, isFloat, makeTensor, type ReferenceTensor, scaleOf } from './tensor';
import { outputPositions, realTaps, windowAxes } from './window';

type PoolOp = Extract<Op, { kind: OpKind.MaxPool | OpKind.AvgPool }>;

/** The codes of the real elements of every window, in output order. */
function windows(op: PoolOp, input: ReferenceTensor): { shape: number[]; codes: number[][] } {
  const [rows, columns] = windowAxes(op.window, input.shape);
  const shape = [input.shape[0]!, rows.output, columns.output, input.shape[3]!];
  const codes = Array.from(outputPositions(shape), ({ batch, y, x, channel }) =>
    realTaps(rows, y).flatMap((row) =>
      realTaps(columns, x).map(
        (column) => input.values[indexOf(input.shape, [batch, row.at, column.at, channel])]!,
      ),
    ),
  );
  return { shape, codes };
}

/** The largest code, clamped; padding takes no part. A window of padding alone gives the least code. */
export function maxPool(op: PoolOp, input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const { codeMin = -128, codeMax = 127 } = op.activation;
  const { shape, codes } = windows(op, input);
  return makeTensor(
    spec,
    shape,
    codes.map((window) => clamp(Math.max(...window), codeMin, codeMax)),
  );
}

/**
 * sum of (code - zero point), times float32(s_in / (s_out * count of real elements)); 0 for padding alone.
 * s_out is 1 for a float32 output.
 */
export function avgPool(
  op: PoolOp,
  input: ReferenceTensor,
  spec: TensorSpec,
  weights: Int8Array,
): ReferenceTensor {
  const { shape, codes } = windows(op, input);
  return store(spec, shape, op.activation, weights, (index) => {
    const window = codes[index]!;
    const sum = window.reduce((total, code) => total + code - input.spec.zeroPoint, 0);
    const outputScale = isFloat(spec) ? 1 : storeScale(spec, op.activation);
    const multiplier = Math.fround(scaleOf(input.spec) / (outputScale * Math.max(window.length, 1)));
    return Math.fround(Math.fround(sum) * multiplier);
  });
}
