// @needs engine
/** Means over so many positions that sums in 32 bits do not hold them. */
import {
  encodeProgram,
  type Op,
  OpKind,
  PaddingMode,
  type TensorSpec,
  TensorType,
  type Window,
} from '../../src/program/program';
import { createNodeEngine } from '../../src/runtime/node-engine';

const SIDE = 2903;
const WINDOW: Window = { kernel: [0, 0], strides: [1, 1], padding: { mode: PaddingMode.Valid } };
const tensor = (type: TensorType, scale = 1, zeroPoint = 0): TensorSpec => ({
  ...{ type, scale, zeroPoint },
  shape: [-1, -1, -1, -1],
});

/** The mean of the whole image; codes enter and leave as int32. */
function mean(x: Int32Array | Float32Array, input: TensorSpec, output: TensorSpec): number {
  const codesIn = input.type === TensorType.Int8;
  const codesOut = output.type === TensorType.Int8;
  const activation = codesOut ? {} : { floatMin: -Infinity, floatMax: Infinity };
  const ops: Op[] = [
    { kind: OpKind.Cast, name: 'in', inputs: [0], output: 1 },
    { kind: OpKind.AvgPool, name: 'mean', window: WINDOW, activation, inputs: [codesIn ? 1 : 0], output: 2 },
    { kind: OpKind.Cast, name: 'out', inputs: [2], output: 3 },
  ];
  const words = encodeProgram({
    tensors: [
      tensor(codesIn ? TensorType.Int32 : TensorType.Float32),
      input,
      output,
      tensor(TensorType.Int32),
    ],
    ops: ops.slice(codesIn ? 0 : 1, codesOut ? 3 : 2),
    inputs: [0],
    outputs: [codesOut ? 3 : 2],
  });
  const compiled = createNodeEngine().compile(words, new Int32Array(0));
  const out = codesOut ? new Int32Array(1) : new Float32Array(1);
  compiled.run([[1, SIDE, SIDE, 1]], [x], [out]);
  compiled.dispose();
  return out[0]!;
}

test('of int8 codes', () => {
  const x = new Int32Array(SIDE * SIDE).fill(127);
  x.fill(-1, 0, 1000);
  const input = tensor(TensorType.Int8, 0.97 / 255, -128);
  const exact = (0.97 / 255) * (255 - (128 * 1000) / x.length);
  expect(mean(x, input, tensor(TensorType.Float32))).toBeCloseTo(exact, 6);
  const code = Math.round(exact / 0.01) - 128;
  expect(mean(x, input, tensor(TensorType.Int8, 0.01, -128))).toBe(code);
});

test('of float32 values, whose sum in float32 would stop growing', () => {
  const x = new Float32Array(SIDE * SIDE).fill(0.97);
  x.fill(-3, 0, 1000);
  const exact = (0.97 * (x.length - 1000) - 3000) / x.length;
  expect(mean(x, tensor(TensorType.Float32), tensor(TensorType.Float32))).toBeCloseTo(exact, 6);
});
