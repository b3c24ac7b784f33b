/**
 * @jest-environment <rootDir>/test/support/host-arrays-environment.js
 *
 * The reference against onnxruntime, an implementation that shares nothing with ours. Both compute exact integer sums
 * and round half to even; they differ in the float32 operations in between:
 * - QLinearConv, QLinearMatMul: the multiplier is formed in float32, not in double;
 * - QLinearAdd: zero points are folded into one float32 constant;
 * - QLinearMul, QLinearConcat: scales are applied one after the other;
 * - QLinearAveragePool: real values are added up and divided, not codes.
 * A value that these errors carry over the middle between two codes becomes the neighbouring code; nothing else may
 * differ. Ties are frequent in these cases by design (see `Drawer`), far more than in real data.
 */
// @needs engine

import { OpKind } from '../../src/program/program';
import { activationFunction, lookupTable } from '../../src/quantization/activation';
import { createNodeEngine } from '../../src/runtime/node-engine';
import { CaseBuilder, int8 } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { runOnnx } from '../support/onnx';
import { acceptsPool, affine, flat, toChannelsLast, toOnnx } from '../support/onnx-nodes';
import { forEachCase } from '../support/random';
import { ARITHMETIC_SERIES } from '../support/series';
import type { ReferenceTensor } from './reference/tensor';

const CASES = 300;

/** Without VNNI, onnxruntime adds two products in 16 bits and saturates; ours are exact everywhere. */
const MAX_WEIGHT = createNodeEngine().supportedIsas.includes('avx512vnni') ? 127 : 64;

/** How near to the middle between two codes a difference is allowed: four float32 steps of the largest value, 255. */
const TIE = 2 ** -14;

/** The least share of equal codes; the rest are ties. */
const MIN_EQUAL: Record<string, number> = {
  Conv2D: 0.999,
  DepthwiseConv2D: 0.999,
  Linear: 0.999,
  MaxPool: 1,
  AvgPool: 0.95,
  Add: 0.98,
  Mul: 0.96,
  Concat: 0.999,
};

/** How far the codes of a series of cases are from the judge's. */
class Agreement {
  private total = 0;
  private equal = 0;

  /** Requires equal codes, or neighbours where the value before rounding is a tie. */
  compare(ours: ReferenceTensor, theirs: readonly number[]): void {
    expect(theirs).toHaveLength(ours.values.length);
    for (const [i, code] of ours.values.entries()) {
      const difference = Math.abs(code - theirs[i]!);
      const value = ours.unrounded[i] ?? Number.NaN;
      const isTie = Math.abs(value - Math.floor(value) - 0.5) <= TIE;
      if (difference > 1 || (difference === 1 && !isTie)) {
        throw new Error(`element ${i}: ${code}, onnxruntime has ${theirs[i]}; before rounding ${value}`);
      }
      this.total += 1;
      this.equal += 1 - difference;
    }
  }

  /** @returns the share of equal codes */
  report(label: string): number {
    const share = this.equal / this.total;
    const percent = (100 * share).toFixed(4);
    process.stdout.write(
      `  ${label}: ${this.equal} of ${this.total} codes equal onnxruntime (${percent} %)\n`,
    );
    return share;
  }
}

test.each(ARITHMETIC_SERIES)('$label equals onnxruntime, but for ties', async ({ label, draw }) => {
  const agreement = new Agreement();
  let accepted = 0;
  await forEachCase(`onnxruntime ${label}`, CASES, async (random) => {
    const builder = new CaseBuilder();
    const ours = builder.tensors[draw(new Drawer(builder, random, true, undefined, MAX_WEIGHT), random)]!;
    const op = builder.program.ops.at(-1)!;
    const isPool = op.kind === OpKind.MaxPool || op.kind === OpKind.AvgPool;
    if (isPool && !acceptsPool(op, [builder.tensors[op.inputs[0]!]!, ours])) return;
    const { values } = await runOnnx(toOnnx(op, builder));
    const codes = values.map((code) => code - 128);
    agreement.compare(ours, 'window' in op ? toChannelsLast(codes, ours.shape) : codes);
    accepted += 1;
  });
  expect(accepted).toBeGreaterThanOrEqual(200);
  expect(agreement.report(label)).toBeGreaterThanOrEqual(MIN_EQUAL[label]!);
});

test('a table of the sigmoid equals onnxruntime, but for ties', async () => {
  const codes = Int32Array.from({ length: 256 }, (_, i) => i - 128);
  const agreement = new Agreement();
  await forEachCase('onnxruntime Lookup', CASES, async (random) => {
    const builder = new CaseBuilder();
    const drawer = new Drawer(builder, random, true);
    const input = builder.codes([256], codes, drawer.params());
    const params = { scale: random.real(0.002, 0.008), zeroPoint: random.int(-128, 127) };
    const table = lookupTable(activationFunction('sigmoid'), builder.spec(input), params);
    const tableOffset = builder.weights.append(table);
    const output = builder.apply({ kind: OpKind.Lookup, inputs: [input], tableOffset }, int8(params));
    const [x, y] = [builder.tensors[input]!, builder.tensors[output]!];
    const { values } = await runOnnx({
      opType: 'QLinearSigmoid',
      domain: 'com.microsoft',
      inputs: { x: flat(x) },
      constants: { ...affine('x', x), ...affine('y', y) },
      order: ['x', 'xScale', 'xZero', 'yScale', 'yZero'],
      outputType: 'uint8',
    });
    const sigmoid = activationFunction('sigmoid');
    const unrounded = x.values.map(
      (code) => sigmoid((code - x.spec.zeroPoint) * x.spec.scale) / y.spec.scale,
    );
    const theirs = values.map((code) => code - 128);
    agreement.compare({ ...y, unrounded }, theirs);
  });
  expect(agreement.report('sigmoid')).toBeGreaterThanOrEqual(0.999);
});

test('Quantize and Dequantize equal onnxruntime', async () => {
  const agreement = new Agreement();
  await forEachCase('onnxruntime Quantize', CASES, async (random) => {
    const builder = new CaseBuilder();
    const drawer = new Drawer(builder, random, true);
    const codes = builder.tensors[drawer.quantized([random.int(1, 99)])]!;
    const floats = builder.tensors[drawer.dequantize(builder.tensors.indexOf(codes))]!;
    const { shape } = codes;
    const input = builder.tensors[0]!.values;
    const quantized = await runOnnx({
      opType: 'QuantizeLinear',
      inputs: { x: { type: 'float32', shape, values: input } },
      constants: affine('y', codes),
      order: ['x', 'yScale', 'yZero'],
      outputType: 'uint8',
    });
    // The ONNX standard leaves the code of NaN open.
    const comparable = input.map((x, i) => (Number.isNaN(x) ? codes.values[i]! : quantized.values[i]! - 128));
    agreement.compare(codes, comparable);
    const dequantized = await runOnnx({
      opType: 'DequantizeLinear',
      inputs: { x: flat(codes) },
      constants: affine('x', codes),
      order: ['x', 'xScale', 'xZero'],
      outputType: 'float32',
    });
    expect(dequantized.values).toEqual(floats.values);
  });
  expect(agreement.report('Quantize')).toBe(1);
});
