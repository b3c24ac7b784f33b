// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as lowbit from '../../kernels/functions';
import type { QuantizedLinearAttrs } from '../../kernels/QuantizedLinear';
import { install } from '../../kernels/register';
import type { LowbitError } from '../../src/base/errors';

install();

/** Codes drawn from a small generator, in [-128, 127]. */
function codes(shape: number[], seed: number): tf.Tensor {
  const count = shape.reduce((product, dim) => product * dim, 1);
  let state = seed;
  const values = Int32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 24) - 128;
  });
  return tf.tensor(values, shape, 'int32');
}

function real(x: tf.Tensor, scale: number, zeroPoint: number): tf.Tensor {
  return tf.mul(tf.sub(tf.cast(x, 'float32'), zeroPoint), scale);
}

/** Largest difference in steps of `scale`. */
async function stepsApart(a: tf.Tensor, b: tf.Tensor, scale: number): Promise<number> {
  expect(a.shape).toEqual(b.shape);
  return (await tf.max(tf.abs(tf.sub(a, b))).data())[0] / scale;
}

const input = { inputScale: 0.02, inputZeroPoint: 5 };
const output = { outputScale: 0.05, outputZeroPoint: -7 };
const range = (t: tf.Tensor) => tf.clipByValue(t, (-128 + 7) * 0.05, (127 + 7) * 0.05); // what the output codes can hold

/** A filter [out, ...] of packed codes with its scales, bias and real values. */
function makeFilter(shape: number[], outChannels: number, channelAxis: 0 | 'last') {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const raw = Int8Array.from({ length: count }, (_, i) => ((i * 37 + 11) % 255) - 127);
  const scales = Float32Array.from({ length: outChannels }, (_, c) => 0.001 * (1 + (c % 5)));
  const bias = Int32Array.from({ length: outChannels }, (_, c) => (c - 2) * 100);
  const scaleShape = channelAxis === 0 ? [outChannels, ...shape.slice(1).map(() => 1)] : undefined;
  const scaleTensor = tf.tensor1d(scales);
  const spread = scaleShape
    ? tf.reshape(scaleTensor, scaleShape)
    : tf.reshape(scaleTensor, [1, 1, ...shape.slice(2)]);
  return {
    weights: { filter: lowbit.packInt8(raw), filterScale: scaleTensor, bias: tf.tensor1d(bias, 'int32') },
    filter: tf.mul(tf.tensor(Float32Array.from(raw), shape), spread),
    bias: tf.mul(tf.tensor1d(Float32Array.from(bias)), tf.mul(scaleTensor, input.inputScale)),
  };
}

describe.each(['cpu', 'wasm'])('kernels on the %s backend', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  const near = async (ours: tf.Tensor, theirs: tf.Tensor, steps = 0.51) => {
    const back = lowbit.dequantize(ours, { scale: output.outputScale, zeroPoint: output.outputZeroPoint });
    expect(await stepsApart(back, range(theirs), output.outputScale)).toBeLessThanOrEqual(steps);
  };

  test('QuantizedConv2D equals a float convolution of the same real values', async () => {
    const x = codes([2, 9, 8, 6], 1);
    const { weights, filter, bias } = makeFilter([5, 3, 3, 6], 5, 0);
    for (const pad of ['same', 'valid'] as const) {
      const ours = lowbit.quantizedConv2D(x, weights, {
        ...input,
        ...output,
        filterShape: [5, 3, 3, 6],
        strides: [2, 1],
        pad,
        activation: 'relu6',
      });
      const conv = tf.conv2d(
        real(x, 0.02, 5) as tf.Tensor4D,
        tf.transpose(filter, [1, 2, 3, 0]) as tf.Tensor4D,
        [2, 1],
        pad,
      );
      await near(ours, tf.relu6(tf.add(conv, bias)));
    }
  });

  test('QuantizedConv2D without an output scale gives float32', async () => {
    const x = codes([1, 5, 5, 4], 2);
    const { weights, filter, bias } = makeFilter([3, 3, 3, 2], 3, 0);
    const grouped = () =>
      lowbit.quantizedConv2D(x, weights, {
        ...input,
        filterShape: [3, 3, 3, 2],
        strides: [1, 1],
        pad: 'same',
        groups: 2,
      });
    expect(grouped).toThrow(/2 groups do not divide 4 input and 3 output channels/);
    const ours = lowbit.quantizedConv2D(tf.slice(x, [0, 0, 0, 0], [1, 5, 5, 2]), weights, {
      ...input,
      filterShape: [3, 3, 3, 2],
      strides: [1, 1],
      dilations: [2, 2],
      pad: 'same',
    });
    expect(ours.dtype).toBe('float32');
    const part = real(tf.slice(x, [0, 0, 0, 0], [1, 5, 5, 2]), 0.02, 5) as tf.Tensor4D;
    const conv = tf.conv2d(
      part,
      tf.transpose(filter, [1, 2, 3, 0]) as tf.Tensor4D,
      1,
      'same',
      'NHWC',
      [2, 2],
    );
    expect(await stepsApart(ours, tf.add(conv, bias), 1)).toBeLessThan(1e-3);
  });

  test('PiDequant gives the numbers of a matrix, as float32 or as codes', async () => {
    const codesOfRows = lowbit.packBytes(Uint8Array.of(0b00_10_01_00, 0b00_00_00_11));
    const scales = lowbit.packBytes(Uint16Array.of(0x3c00, 0x4000));
    const attrs = { weightFormat: 'codebook2', shape: [2, 3], levels: [-3, -1, 1, 3], unit: 0.5 } as const;
    const run = (more: object = {}) =>
      lowbit.piDequant(codesOfRows, scales, {
        ...attrs,
        shape: [...attrs.shape],
        levels: [...attrs.levels],
        ...more,
      });
    const floats = run();
    expect([floats.dtype, floats.shape]).toEqual(['float32', [2, 3]]);
    expect(Array.from(await floats.data())).toEqual([-1.5, -0.5, 0.5, 3, -3, -3]);
    const steps = run({ outputScale: 0.5, outputZeroPoint: 1 });
    expect(steps.dtype).toBe('int32');
    expect(Array.from(await steps.data())).toEqual([-2, 0, 2, 7, -5, -5]);
    expect(() => run({ shape: [2, 300] })).toThrow(/PiDequant: codes have 4 bytes, expected 150/);
    expect(() => run({ weightFormat: 'codebook5' })).toThrow(/PiDequant: expected one of codebook2/);
    expect(() => run({ shape: [6] })).toThrow(/rows and depth for shape but received '\[6\]'/);
  });

  test('Hadamard and its inverse, of float32 values', async () => {
    const x = tf.tensor2d(
      Float32Array.from({ length: 200 }, (_, i) => (i % 7) - 3),
      [2, 100],
    );
    const there = lowbit.hadamard(x, { block: 64, seed: 5 });
    const energy = async (t: tf.Tensor) => (await tf.sum(tf.square(t)).data())[0];
    expect(await energy(there)).toBeCloseTo((await energy(x))!, 2);
    const back = lowbit.hadamard(there, { block: 64, seed: 5, inverse: true });
    expect(await stepsApart(back, x, 1)).toBeLessThan(1e-5);
    expect(() => lowbit.hadamard(x, { block: 48, seed: 5 })).toThrow(/power of two from 2 to 4096 for block/);
    expect(() => lowbit.hadamard(tf.scalar(1), { block: 64, seed: 5 })).toThrow(/a tensor with a last axis/);
  });

  test('an index outside of an embedding is refused by name, and its output is freed', () => {
    const attrs = { filterShape: [2, 4], weightFormat: 'codebook4' as const, levels: [0, 1] };
    const weights = {
      filter: lowbit.packBytes(Uint8Array.of(0x10, 0x11, 0x00, 0x01)),
      filterScale: lowbit.packBytes(Uint16Array.of(0x3c00, 0x3c00)),
    };
    const rows = lowbit.quantizedGather(tf.tensor1d([1, 0], 'int32'), weights, attrs);
    expect(Array.from(rows.dataSync())).toEqual([0, 0, 1, 0, 0, 1, 1, 1]);
    const wrong = tf.tensor1d([0, 7], 'int32');
    const before = tf.backend().numDataIds();
    expect(() => lowbit.quantizedGather(wrong, weights, attrs)).toThrow(
      /index 7 at position 1, expected 0 to 1/,
    );
    expect(tf.backend().numDataIds()).toBe(before);
  });

  test.each([1, 2])('QuantizedDepthwise with multiplier %d', async (multiplier) => {
    const x = codes([1, 7, 6, 5], 3);
    const shape = [3, 3, 5, multiplier];
    const { weights, filter, bias } = makeFilter(shape, 5 * multiplier, 'last');
    const ours = lowbit.quantizedDepthwise(x, weights, {
      ...input,
      ...output,
      filterShape: shape,
      strides: [1, 1],
      pad: 'same',
      activation: 'relu',
    });
    const conv = tf.depthwiseConv2d(real(x, 0.02, 5) as tf.Tensor4D, filter as tf.Tensor4D, 1, 'same');
    await near(ours, tf.relu(tf.add(conv, bias)));
  });

  test('QuantizedLinear on weights of 2 bits equals a float product of the same real values', async () => {
    const x = codes([3, 40], 4);
    const bytes = Uint8Array.from({ length: 7 * 10 }, (_, i) => (i * 91 + 7) % 256);
    const levels = [-10, -3, 3, 10];
    const scales = Float32Array.from({ length: 14 }, (_, i) => 2 ** -(6 + (i % 3)));
    const weights = {
      filter: lowbit.packBytes(bytes),
      // Powers of two in float16: the exponent, 15 higher, and no fraction.
      filterScale: lowbit.packBytes(Uint16Array.from(scales, (scale) => (Math.log2(scale) + 15) << 10)),
      bias: tf.tensor1d(Float32Array.from({ length: 7 }, (_, n) => n / 4)),
    };
    const attrs: QuantizedLinearAttrs = {
      ...input,
      ...output,
      filterShape: [7, 40],
      weightFormat: 'codebook2',
      levels,
      group: 32,
      unit: 0.5,
    };
    const ours = lowbit.quantizedLinear(x, weights, attrs);
    const real2 = Float32Array.from({ length: 280 }, (_, i) => {
      const [n, k] = [Math.floor(i / 40), i % 40];
      const code = (bytes[n * 10 + (k >> 2)]! >> (2 * (k & 3))) & 3;
      return levels[code]! * scales[2 * n + (k >> 5)]! * 0.5;
    });
    const product = tf.matMul(real(x, 0.02, 5) as tf.Tensor2D, tf.tensor2d(real2, [7, 40]), false, true);
    await near(ours, tf.add(product, weights.bias));
    expect(() => lowbit.quantizedLinear(x, weights, { ...attrs, filterShape: [8, 40] })).toThrow(
      /QuantizedLinear: the filter has 72 bytes, but filter shape \[8,40\] needs 80/,
    );
    expect(() =>
      lowbit.quantizedLinear(x, weights, { ...attrs, weightFormat: 'codebook5' as 'codebook4' }),
    ).toThrow(/QuantizedLinear: expected one of codebook2.* for weightFormat but received 'codebook5'/);
  });

  test('QuantizedLinear with a sigmoid through a table', async () => {
    const x = codes([3, 40], 4);
    const { weights, filter, bias } = makeFilter([7, 40], 7, 0);
    const ours = lowbit.quantizedLinear(x, weights, {
      ...input,
      filterShape: [7, 40],
      activation: 'sigmoid',
      preScale: 0.1,
      preZeroPoint: 0,
      outputScale: 1 / 256,
      outputZeroPoint: -128,
    });
    const product = tf.add(
      tf.matMul(real(x, 0.02, 5) as tf.Tensor2D, filter as tf.Tensor2D, false, true),
      bias,
    );
    const back = lowbit.dequantize(ours, { scale: 1 / 256, zeroPoint: -128 });
    // Half a step of the table's input, at a slope of at most 1/4, and half a step of its output.
    expect(await stepsApart(back, tf.sigmoid(product), 1)).toBeLessThan(0.05 / 4 + 1 / 256);
  });

  test('pools, sums, products, concatenations and lookups', async () => {
    const x = codes([2, 6, 5, 20], 5);
    const y = codes([2, 6, 5, 20], 6);
    const poolAttrs = {
      ...input,
      filterSize: [3, 2] as [number, number],
      strides: [2, 2] as [number, number],
      pad: 'same' as const,
    };
    const rx = real(x, 0.02, 5);
    const ry = real(y, 0.03, -9);
    const most = lowbit.quantizedMaxPool(x, poolAttrs);
    expect(
      await stepsApart(real(most, 0.02, 5), tf.maxPool(rx as tf.Tensor4D, [3, 2], [2, 2], 'same'), 0.02),
    ).toBeLessThan(1e-3);
    await near(
      lowbit.quantizedAvgPool(x, { ...poolAttrs, ...output }),
      tf.avgPool(rx as tf.Tensor4D, [3, 2], [2, 2], 'same'),
    );
    await near(
      lowbit.quantizedAvgPool(x, { ...poolAttrs, ...output, filterSize: [0, 0] }),
      tf.mean(rx, [1, 2], true),
    );
    const scales = { aScale: 0.02, aZeroPoint: 5, bScale: 0.03, bZeroPoint: -9, ...output };
    await near(lowbit.quantizedAdd(x, y, scales), tf.add(rx, ry));
    const row = tf.slice(y, [0, 0, 0, 0], [2, 1, 1, 20]);
    await near(lowbit.quantizedMul(x, row, scales), tf.mul(rx, real(row, 0.03, -9)));
    await near(
      lowbit.quantizedConcat([x, y], {
        axis: -1,
        inputScales: [0.02, 0.03],
        inputZeroPoints: [5, -9],
        ...output,
      }),
      tf.concat([rx, ry], 3),
    );
    await near(lowbit.quantizedLookup(x, { activation: 'tanh', ...input, ...output }), tf.tanh(rx));
  });

  test('softmax, of codes and of floats', async () => {
    const x = codes([2, 3, 40], 11);
    const expected = tf.softmax(real(x, 0.02, 5));
    expect(await stepsApart(lowbit.quantizedSoftmax(x, input), expected, 1)).toBeLessThan(1e-6);
    expect(await stepsApart(lowbit.quantizedSoftmax(real(x, 0.02, 5), {}), expected, 1)).toBeLessThan(1e-6);
    const outputAttrs = { outputScale: 1 / 256, outputZeroPoint: -128 };
    const ours = lowbit.quantizedSoftmax(x, { ...input, ...outputAttrs });
    expect(await stepsApart(real(ours, 1 / 256, -128), expected, 1 / 256)).toBeLessThanOrEqual(0.501);
  });

  test('layer normalization, of codes and of floats', async () => {
    const x = codes([2, 3, 40], 13);
    const floats = real(x, 0.02, 5);
    const [gamma, beta] = [tf.linspace(-1, 2, 40), tf.linspace(0.5, -0.5, 40)];
    const { mean, variance } = tf.moments(floats, -1, true);
    const normalized = tf.div(tf.sub(floats, mean), tf.sqrt(tf.add(variance, 1e-3)));
    const expected = tf.add(tf.mul(normalized, gamma), beta);
    const attrs = { epsilon: 1e-3 };
    const ours = lowbit.quantizedLayerNormalization(x, gamma, beta, { ...attrs, ...input });
    expect(await stepsApart(ours, expected, 1)).toBeLessThan(1e-5);
    const ofFloats = lowbit.quantizedLayerNormalization(floats, gamma, beta, attrs);
    expect(await stepsApart(ofFloats, expected, 1)).toBeLessThan(1e-5);
    const outputAttrs = { outputScale: 0.04, outputZeroPoint: 3 };
    const asCodes = lowbit.quantizedLayerNormalization(x, gamma, beta, {
      ...attrs,
      ...input,
      ...outputAttrs,
    });
    expect(await stepsApart(real(asCodes, 0.04, 3), expected, 0.04)).toBeLessThanOrEqual(0.501);
  });

  test('an average pool and a table with a float32 output', async () => {
    const x = codes([2, 6, 5, 20], 12);
    const mean = lowbit.quantizedAvgPool(x, {
      ...input,
      filterSize: [0, 0],
      strides: [1, 1],
      pad: 'valid',
      floatOutput: true,
    });
    const expected = tf.mean(real(x, 0.02, 5), [1, 2], true);
    expect(await stepsApart(mean, expected, 1)).toBeLessThan(1e-6);
    const scores = lowbit.quantizedLookup(x, { activation: 'sigmoid', ...input });
    expect(await stepsApart(scores, tf.sigmoid(real(x, 0.02, 5)), 1)).toBeLessThan(1e-6);
  });

  test.each([
    ['same', [0, 0]],
    ['same', [7, 10]],
    ['valid', [0, 0]],
  ] as const)('QuantizedConv2DTranspose, pad %s, output size %p', async (pad, size) => {
    const x = codes([2, 4, 5, 6], 17) as tf.Tensor4D;
    const { weights, filter, bias } = makeFilter([5, 3, 3, 6], 5, 0);
    const ours = lowbit.quantizedConv2DTranspose(x, weights, {
      ...input,
      ...output,
      filterShape: [5, 3, 3, 6],
      strides: [2, 2],
      pad,
      outputSize: [...size],
    });
    const [height, width] = size[0] ? size : pad === 'same' ? [8, 10] : [9, 11];
    const swapped = tf.transpose(filter, [1, 2, 0, 3]) as tf.Tensor4D;
    const spread = tf.conv2dTranspose(
      real(x, 0.02, 5) as tf.Tensor4D,
      swapped,
      [2, height, width, 5],
      [2, 2],
      pad,
    );
    await near(ours, tf.add(spread, bias));
  });

  test('QuantizedBatchMatMul', async () => {
    const a = codes([2, 3, 7, 30], 18);
    const b = codes([2, 3, 9, 30], 19);
    const attrs = { aScale: 0.02, aZeroPoint: 5, bScale: 0.03, bZeroPoint: -9, transposeB: true };
    const product = tf.matMul(real(a, 0.02, 5), real(b, 0.03, -9), false, true);
    await near(lowbit.quantizedBatchMatMul(a, b, { ...attrs, ...output }), product);
    const clamped = lowbit.quantizedBatchMatMul(a, b, { ...attrs, activation: 'relu' });
    expect(await stepsApart(clamped, tf.relu(product), 1)).toBeLessThan(1e-3);
  });

  test('differences, extremes and prelu', async () => {
    const x = codes([2, 6, 5, 20], 13);
    const y = codes([2, 6, 5, 20], 14);
    const [rx, ry] = [real(x, 0.02, 5), real(y, 0.03, -9)];
    const scales = { aScale: 0.02, aZeroPoint: 5, bScale: 0.03, bZeroPoint: -9, ...output };
    await near(lowbit.quantizedSub(x, y, scales), tf.sub(rx, ry));
    await near(lowbit.quantizedMaximum(x, y, scales), tf.maximum(rx, ry));
    await near(lowbit.quantizedMinimum(x, y, { ...scales, activation: 'relu' }), tf.relu(tf.minimum(rx, ry)));
    const alpha = tf.linspace(-1, 1, 20);
    await near(lowbit.quantizedPrelu(x, alpha, { ...input, ...output }), tf.prelu(rx, alpha));
  });

  test('images in another size', async () => {
    const x = codes([2, 6, 5, 20], 15) as tf.Tensor4D;
    const attrs = { size: [11, 9] as [number, number], halfPixelCenters: true };
    const rx = real(x, 0.02, 5) as tf.Tensor4D;
    const smooth = tf.image.resizeBilinear(rx, [11, 9], false, true);
    await near(lowbit.quantizedResizeBilinear(x, { ...attrs, ...input, ...output }), smooth);
    expect(
      await stepsApart(lowbit.quantizedResizeBilinear(x, { ...attrs, ...input }), smooth, 1),
    ).toBeLessThan(1e-5);
    const nearest = tf.image.resizeNearestNeighbor(x, [11, 9], false, true);
    expect(await stepsApart(lowbit.quantizedResizeNearestNeighbor(x, attrs), nearest, 1)).toBe(0);
  });

  test('codes moved about', async () => {
    const x = codes([2, 6, 4, 20], 16) as tf.Tensor4D;
    const real = tf.cast(x, 'float32') as tf.Tensor4D;
    const equal = async (ours: tf.Tensor, theirs: tf.Tensor) => {
      expect(ours.dtype).toBe('int32');
      expect(await stepsApart(tf.cast(ours, 'float32'), theirs, 1)).toBe(0);
    };
    const paddings = [0, 0, 1, 2, 0, 3, 4, 0];
    const amounts = [0, 2, 4, 6].map((i): [number, number] => [paddings[i], paddings[i + 1]]);
    await equal(lowbit.quantizedPad(x, { paddings, code: -7 }), tf.pad(real, amounts, -7));
    await equal(
      lowbit.quantizedPad(x, { paddings, mode: 'reflect' }),
      tf.mirrorPad(real, amounts, 'reflect'),
    );
    await equal(
      lowbit.quantizedSlice(x, { begin: [0, 1, 0, 3], size: [-1, 4, 2, 5], strides: [1, 1, 2, 3] }),
      tf.stridedSlice(real, [0, 1, 0, 3], [2, 5, 4, 18], [1, 1, 2, 3]),
    );
    await equal(lowbit.quantizedTranspose(x, { perm: [3, 0, 2, 1] }), tf.transpose(real, [3, 0, 2, 1]));
    const deep = lowbit.quantizedSpaceToDepth(x, { blockSize: 2 });
    expect(deep.shape).toEqual([2, 3, 2, 80]);
    await equal(lowbit.quantizedDepthToSpace(deep, { blockSize: 2 }), real);
    expect(() => lowbit.quantizedPad(x, { paddings, mode: 'wrap' as 'reflect' })).toThrow(/mode/);
  });

  test('Quantize rounds half to even and saturates', async () => {
    const x = tf.tensor1d([-1000, -0.75, -0.25, 0.25, 0.75, 1.25, 1000, Number.NaN]);
    const q = lowbit.quantize(x, { scale: 0.5, zeroPoint: 3 });
    expect(Array.from(await q.data())).toEqual([-128, 1, 3, 3, 5, 5, 127, -128]);
    const few = lowbit.quantize(tf.tensor1d([-1, 0, 0.5]), { scale: 0.5, zeroPoint: 1 });
    expect(Array.from(few.dataSync())).toEqual([-1, 1, 2]);
  });

  test('errors name the kernel and what is wrong', () => {
    const x = codes([1, 4, 4, 3], 7);
    const { weights } = makeFilter([5, 3, 3, 6], 5, 0);
    const attrs = {
      ...input,
      ...output,
      filterShape: [5, 3, 3, 6],
      strides: [1, 1] as [number, number],
      pad: 'same' as const,
    };
    const attempt = (run: () => unknown): LowbitError => {
      try {
        run();
      } catch (error) {
        return error as LowbitError;
      }
      throw new Error('expected an error');
    };
    const channels = attempt(() => lowbit.quantizedConv2D(x, weights, attrs));
    expect(channels.code).toBe('invalid-shape');
    expect(channels.message).toMatch(/QuantizedConv2D.*6 input channels but the activation has 3/);
    expect(attempt(() => lowbit.quantizedConv2D(tf.cast(x, 'float32'), weights, attrs)).message).toMatch(
      /expected a int32 tensor for input 'x' but received float32/,
    );
    expect(
      attempt(() => lowbit.quantizedConv2D(x, weights, { ...attrs, filterShape: [500, 3, 3, 3] })).message,
    ).toMatch(/the filter has \d+ bytes, but filter shape .* needs/);
    expect(
      attempt(() => lowbit.quantizedConv2D(x, weights, { ...attrs, activation: 'nope' as 'relu' })).message,
    ).toMatch(/activation/);
  });

  test('tensors are neither leaked nor left behind', () => {
    const x = codes([1, 8, 8, 16], 8);
    const { weights } = makeFilter([16, 1, 1, 16], 16, 0);
    const run = () =>
      lowbit
        .quantizedConv2D(x, weights, {
          ...input,
          ...output,
          filterShape: [16, 1, 1, 16],
          strides: [1, 1],
          pad: 'same',
        })
        .dispose();
    run();
    const before = tf.memory();
    for (let i = 0; i < 1000; i++) run();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
  });
});
