// @needs engine
/** Kernels with weights whose filter stays while another weight tensor changes. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as lowbit from '../../kernels/functions';
import { install } from '../../kernels/register';
import { encodeProgram, OpKind, TensorType, WeightFormat, WeightsBuilder } from '../../src/program/program';

install();

const S = 0.5;
const input = { inputScale: S, inputZeroPoint: 0 };

interface Weights {
  filter: tf.Tensor;
  filterScale: tf.Tensor;
  bias: tf.Tensor;
}

const scaleOf = (...values: number[]) => tf.tensor1d(values);
const biasOf = (...values: number[]) => tf.tensor1d(values, 'int32');
/** Two channels with the identity as their filter. */
const identity = () => lowbit.packInt8(Int8Array.of(1, 0, 0, 1));
const x = (shape: number[]) => tf.tensor([10, 20], shape, 'int32');

/** Each kernel on two channels with codes [10, 20], scale 0.5: out[c] = 0.5 * scale[c] * (code[c] + bias[c]). */
const KERNELS: Record<string, (weights: Weights) => tf.Tensor> = {
  QuantizedLinear: (w) => lowbit.quantizedLinear(x([1, 2]), w, { ...input, filterShape: [2, 2] }),
  QuantizedConv2D: (w) =>
    lowbit.quantizedConv2D(x([1, 1, 1, 2]), w, {
      ...{ ...input, filterShape: [2, 1, 1, 2] },
      ...{ strides: [1, 1], pad: 'same' },
    }),
  QuantizedConv2DTranspose: (w) =>
    lowbit.quantizedConv2DTranspose(x([1, 1, 1, 2]), w, {
      ...{ ...input, filterShape: [2, 1, 1, 2] },
      ...{ strides: [1, 1], pad: 'same' },
    }),
  QuantizedDepthwise: (w) =>
    lowbit.quantizedDepthwise(
      x([1, 1, 1, 2]),
      { ...w, filter: ones(w.filter) },
      { ...input, filterShape: [1, 1, 2, 1], strides: [1, 1], pad: 'same' },
    ),
};

/** One filter of ones for each identity filter. */
const onesOf = new WeakMap<tf.Tensor, tf.Tensor>();
function ones(filter: tf.Tensor): tf.Tensor {
  if (!onesOf.has(filter)) onesOf.set(filter, lowbit.packInt8(Int8Array.of(1, 1)));
  return onesOf.get(filter)!;
}

const values = async (tensor: tf.Tensor) => [...(await tensor.data())];

describe.each(['cpu', 'wasm'])('on the %s backend', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test.each(Object.keys(KERNELS))('%s uses the bias and the scales of each call', async (name) => {
    const run = KERNELS[name];
    const filter = identity();
    const [scale, zero] = [scaleOf(2, 2), biasOf(0, 0)];
    expect(await values(run({ filter, filterScale: scale, bias: zero }))).toEqual([10, 20]);
    const bias = biasOf(50, 50);
    expect(await values(run({ filter, filterScale: scale, bias }))).toEqual([60, 70]);
    const filterScale = scaleOf(4, 6);
    expect(await values(run({ filter, filterScale, bias: zero }))).toEqual([20, 60]);
    expect(await values(run({ filter, filterScale, bias }))).toEqual([120, 210]);
    expect(await values(run({ filter, filterScale: scale, bias: zero }))).toEqual([10, 20]);
    // The tensor of a new bias may reuse the memory, not the identity, of one that is gone.
    bias.dispose();
    const again = run({ filter, filterScale: scale, bias: biasOf(1, 2) });
    expect(await values(again)).toEqual([11, 22]);
  });

  test('LinearFloat uses the bias and the scales of each call', async () => {
    const filter = identity();
    const run = (filterScale: tf.Tensor, bias: tf.Tensor) =>
      lowbit.linearFloat(
        tf.tensor2d([10, 20], [1, 2]),
        { filter, filterScale, bias },
        { filterShape: [2, 2] },
      );
    const [scale, zero] = [scaleOf(1, 1), tf.tensor1d([0, 0])];
    const [first] = [await values(run(scale, zero))];
    expect(first[0]).toBeCloseTo(10, 0);
    const [moved, scaled] = [
      await values(run(scale, tf.tensor1d([50, 50]))),
      await values(run(scaleOf(2, 3), zero)),
    ];
    expect(moved).toEqual(first.map((value) => value + 50));
    expect(scaled[0]).toBeCloseTo(2 * first[0], 4);
    expect(scaled[1]).toBeCloseTo(3 * first[1], 4);
  });

  test('QuantizedGather uses the scales of each call', async () => {
    const filter = identity();
    const run = (filterScale: tf.Tensor) =>
      lowbit.quantizedGather(tf.tensor1d([1, 0], 'int32'), { filter, filterScale }, { filterShape: [2, 2] });
    expect(await values(run(scaleOf(2, 3)))).toEqual([0, 3, 2, 0]);
    expect(await values(run(scaleOf(5, 7)))).toEqual([0, 7, 5, 0]);
  });

  test('QuantizedPrelu uses the slopes of each call', async () => {
    const attrs = { ...input, outputScale: S, outputZeroPoint: 0 };
    const codes = tf.tensor2d([-10, -20], [1, 2], 'int32');
    expect(await values(lowbit.quantizedPrelu(codes, scaleOf(0.5, 0.5), attrs))).toEqual([-5, -10]);
    expect(await values(lowbit.quantizedPrelu(codes, scaleOf(0.1, 2), attrs))).toEqual([-1, -40]);
  });

  test('QuantizedLayerNormalization uses gamma and beta of each call', async () => {
    const gamma = scaleOf(1, 1);
    const run = (beta: tf.Tensor1D, by = gamma) =>
      values(lowbit.quantizedLayerNormalization(tf.tensor2d([-3, 3], [1, 2]), by, beta, { epsilon: 1e-12 }));
    const zero = scaleOf(0, 0);
    expect(await run(zero)).toEqual([-1, 1]);
    expect(await run(scaleOf(10, 20))).toEqual([9, 21]);
    expect(await run(zero, scaleOf(2, 3))).toEqual([-2, 3]);
    expect(await run(zero)).toEqual([-1, 1]);
  });

  test('QuantizedRegion uses the weights of each call', async () => {
    const builder = (bias: number) => {
      const weights = new WeightsBuilder();
      const filterOffset = weights.append(Int8Array.of(1, 0, 0, 1));
      const scaleOffset = weights.append(Float32Array.of(1, 1));
      const biasOffset = weights.append(Float32Array.of(bias, bias));
      const filter = { format: WeightFormat.Int8 as const, filterOffset, scaleOffset, biasOffset };
      return { filter, weights: tf.tensor1d(weights.build(), 'int32') };
    };
    const { filter, weights } = builder(0);
    const FLOAT = { type: TensorType.Float32, shape: [-1, 2], scale: 1, zeroPoint: 0 };
    const activation = { floatMin: -Infinity, floatMax: Infinity };
    const layer = { kind: OpKind.LinearFloat, inFeatures: 2, outFeatures: 2, filter, activation } as const;
    const program = tf.tensor1d(
      encodeProgram({
        tensors: [FLOAT, FLOAT],
        ops: [{ ...layer, name: 'layer', inputs: [0], output: 1 }],
        inputs: [0],
        outputs: [1],
      }),
      'int32',
    );
    const run = async (of: tf.Tensor) =>
      values(lowbit.quantizedRegion([tf.tensor2d([127, 254], [1, 2])], program, of)[0]);
    const first = await run(weights);
    expect(await run(builder(50).weights)).toEqual(first.map((value) => value + 50));
    expect(await run(weights)).toEqual(first);
  });
});
