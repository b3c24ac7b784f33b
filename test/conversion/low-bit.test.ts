// @needs engine
/** Low-bit weights from options to the outputs of a model that plain TF.js loads. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type { Config } from '../../src/conversion/config/config';
import { convertGraph, decideConversion } from '../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../src/conversion/options/options';
import { settle } from '../../src/conversion/options/settle';
import type { Int8Decision } from '../../src/conversion/stage-results';
import { GraphEditor } from '../../src/graph/edit';
import type { Graph, Sample } from '../../src/graph/ir';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import { fileSystem } from '../../src/loading/file-system';
import { inFilterOrder } from '../../src/passes/quantize/lower/filter-order';
import { lowerRegion } from '../../src/passes/quantize/lower-region';
import { decodeMatrix } from '../../src/quantization/formats/decode';
import { FORMATS } from '../../src/quantization/formats/registry';
import { rotateRowsBack } from '../../src/quantization/hadamard';
import { signalToNoise } from '../../src/quantization/metrics';
import '../../src/index.node';
import { runReference } from '../kernels/reference/run-reference';
import { drawFeeds, execute, FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

type Options = Omit<QuantizationOptions, 'onProgress' | 'signal'>;

/** Mostly small values and a few large ones, which rotations spread. */
function heavyTailed(random: Random, count: number): number[] {
  return Array.from(
    { length: count },
    () => 0.05 * random.real(-1, 1) + (random.chance(0.03) ? random.real(-1, 1) : 0),
  );
}

function conv(
  graph: FloatGraph,
  random: Random,
  name: string,
  input: string,
  {
    size,
    from,
    to,
    act,
    strides = 1,
  }: { size: number; from: number; to: number; act?: string; strides?: number },
) {
  return graph
    .constant(`${name}/w`, [size, size, from, to], heavyTailed(random, size * size * from * to))
    .weights(`${name}/b`, [to], -0.2, 0.2)
    .node(name, '_FusedConv2D', [input, `${name}/w`, `${name}/b`], {
      ...windowAttrs({ strides }),
      ...fusedAttrs(act ? ['BiasAdd', act] : ['BiasAdd']),
    });
}

/** Convolutions of 1x1 and 3x3 with and without an activation between them, and a matrix product. */
function network(random: Random): Graph {
  const graph = new FloatGraph(random).input('image', [-1, 5, 4, 5]);
  conv(graph, random, 'first', 'image', { size: 1, from: 5, to: 48, act: 'Relu' });
  conv(graph, random, 'wide', 'first', { size: 3, from: 48, to: 40, strides: 2 });
  conv(graph, random, 'narrow', 'wide', { size: 1, from: 40, to: 33, act: 'Relu6' });
  conv(graph, random, 'again', 'narrow', { size: 1, from: 33, to: 70, act: 'Relu' });
  return graph
    .constant('axes', [2], [1, 2], 'int32')
    .node('mean', 'Mean', ['again', 'axes'], { keep_dims: { b: false } })
    .weights('last/w', [70, 9])
    .node('last', 'MatMul', ['mean', 'last/w'], { transpose_a: { b: false }, transpose_b: { b: false } })
    .build('last');
}

const graph = network(randomOf('low-bit network', 0));
const samples = Array.from({ length: 6 }, (_, i) => toSample(drawFeeds(graph, randomOf('low-bit data', i))));
const feeds = drawFeeds(graph, randomOf('low-bit data', 100));

async function* source(): AsyncGenerator<Sample> {
  yield* samples;
}

const convertWith = (options: Options) => convertGraph(graph, source, options);

async function decide(options: Options) {
  return (await decideConversion(graph, settle(options, source))) as Int8Decision;
}

/** What the one region of the network computes by the reference in plain TypeScript. */
async function reference(options: Options): Promise<number[]> {
  const { model, observations, weights } = await decide(options);
  const [region] = model.plan.regions;
  const builder = lowerRegion(region, model.plan, observations, { lowBit: weights.lowBit });
  const program = builder.build();
  const { image } = feeds;
  const tensors = runReference(program, builder.weights.build(), [image.values], [image.shape]);
  return tensors[program.outputs[0]].values;
}

/** The float network with the weights that the codes stand for. */
async function withDecodedWeights(options: Options): Promise<Graph> {
  const { model, weights } = await decide(options);
  const editor = new GraphEditor(model.graph);
  for (const [name, { matrix, rotation }] of weights.lowBit) {
    const { op } = model.layers.get(name)!;
    const decoded = decodeMatrix(matrix);
    const channels = op.kind === 'conv' ? op.filter.shape[2] : matrix.depth;
    const values = rotation
      ? rotateRowsBack(decoded, decoded.length / channels, channels, rotation)
      : decoded;
    editor.setConstant(op.filterName, { ...op.filter, values: inFilterOrder(op, values) });
  }
  return editor.finish();
}

async function loadAndPredict(converted: Graph): Promise<Float32Array> {
  const folder = join(temporaryFolder(), 'model');
  await writeGraphModel(converted, folder);
  const model = await loadGraphModel(fileSystem(join(folder, 'model.json')));
  try {
    const { values, shape } = feeds.image;
    const result = model.predict(tf.tensor(values, shape)) as tf.Tensor;
    return result.dataSync().slice() as Float32Array;
  } finally {
    model.dispose();
  }
}

describe.each(FORMATS)('%s', (weights) => {
  test.each([{}, { rotate: true, group: 32 as const }, { group: 0 as const }])(
    'a loaded model computes what the reference does of the codes: %p',
    async (more) => {
      const options = { weights, ...more };
      const converted = await convertWith(options);
      expect(Array.from(await loadAndPredict(converted.graph))).toEqual(await reference(options));
    },
  );

  test('codes are as far from the float weights as the format is, and no further', async () => {
    const options: Options = { weights, rotate: true, biasCorrection: 'none' };
    const [expected] = await execute(await withDecodedWeights(options), feeds);
    const [received] = await execute((await convertWith(options)).graph, feeds);
    expect(signalToNoise(expected.values, received.values)).toBeGreaterThan(22);
  });
});

const storageOf = ({ quantized }: Awaited<ReturnType<typeof convertWith>>) =>
  Object.fromEntries(quantized.flatMap(({ name, weights }) => (weights ? [[name, weights]] : [])));

describe('layers', () => {
  test('first and last ones stay in INT8 unless a pattern names them, and the report has it', async () => {
    const report = await convertWith({ weights: 'uniform2' });
    expect(storageOf(report)).toEqual({
      first: 'int8',
      wide: 'uniform2',
      narrow: 'uniform2',
      again: 'uniform2',
      last: 'int8',
    });
    expect(report.quantized.find(({ name }) => name === 'last')!.weightsReason).toBe('it is the last layer');
    const named = await convertWith({
      weights: 'uniform2',
      config: { layers: [{ match: 'last', bits: 4 }] },
    });
    expect(storageOf(named)).toMatchObject({ first: 'int8', wide: 'uniform2', last: 'uniform4' });
    expect(named.bitsPerWeight).toBeLessThan(report.bitsPerWeight);
  });

  test('have formats, groups and rotations of their own by pattern', async () => {
    const layers = [
      { match: '{wide,narrow}', weights: 'pi3', group: 64 },
      { match: 'narrow', rotate: true },
    ] as const;
    const report = await convertWith({ config: { layers: [...layers] } });
    expect(storageOf(report)).toMatchObject({ first: 'int8', wide: 'pi3', narrow: 'pi3', again: 'int8' });
    const of = (name: string) => report.quantized.find((layer) => layer.name === name);
    expect(of('wide')).toMatchObject({ group: 64 });
    expect(of('wide')).not.toHaveProperty('rotation');
    expect(of('narrow')).toMatchObject({ group: 64, rotation: 'folded' });
    expect(of('wide')).toHaveProperty('rotatedResult');
  });

  test('that have no low-bit form are named where a pattern asks for one', async () => {
    const random = randomOf('depthwise', 0);
    const float = new FloatGraph(random)
      .input('image', [-1, 6, 6, 4])
      .weights('dw', [3, 3, 4, 1])
      .node('depthwise', 'DepthwiseConv2dNative', ['image', 'dw'], windowAttrs())
      .build('depthwise');
    const data = async function* () {
      yield toSample(drawFeeds(float, random));
    };
    const report = await convertGraph(float, data, { config: { layers: [{ match: 'depthwise', bits: 2 }] } });
    expect(report.warnings).toEqual([
      "The weights of 'depthwise' stay in INT8: depthwise convolutions have no low-bit form.",
    ]);
    expect(storageOf(report)).toEqual({ depthwise: 'int8' });
  });
});

test.each([1, 3])(
  'an input whose channels only a filter of size %i knows is gathered and rotated',
  async (size) => {
    const random = randomOf('open channels', size);
    const float = new FloatGraph(random)
      .input('x', [-1, 6, 5, -1])
      .constant('w', [size, size, 64, 8], heavyTailed(random, size * size * 64 * 8))
      .node('y', 'Conv2D', ['x', 'w'], windowAttrs())
      .build('y');
    const sample = () => {
      const values = Float32Array.from({ length: 2 * 6 * 5 * 64 }, () => random.real(-1, 1));
      return { x: { shape: [2, 6, 5, 64], values } };
    };
    const data = async function* () {
      for (let i = 0; i < 4; i++) yield toSample(sample());
    };
    const config: Config = { version: 1, layers: [{ match: 'y', weights: 'uniform4', rotate: 64 }] };
    const report = await convertGraph(float, data, { config });
    expect(report.quantized[0]!.rotation).toBe('computed');
    const fresh = sample();
    const [expected] = await execute(float, fresh);
    const [received] = await execute(report.graph, fresh);
    expect(signalToNoise(expected.values, received.values)).toBeGreaterThan(18);
  },
);

describe('rotations', () => {
  test('raise the fidelity of heavy-tailed weights, and are left out where they do not', async () => {
    const plain = await convertWith({ weights: 'lloyd2' });
    const rotated = await convertWith({ weights: 'lloyd2', rotate: true });
    const fidelity = (report: typeof plain, name: string) =>
      report.quantized.find((layer) => layer.name === name)!.weightSignalToNoise!;
    for (const name of ['wide', 'narrow', 'again'])
      expect(fidelity(rotated, name)).toBeGreaterThan(fidelity(plain, name) + 1);
    expect(rotated.quantized.find(({ name }) => name === 'again')!.rotation).toBe('computed');
    const random = randomOf('even weights', 0);
    const even = new FloatGraph(random)
      .input('x', [-1, 64])
      .weights('w', [64, 32])
      .node('y', 'MatMul', ['x', 'w'], { transpose_a: { b: false }, transpose_b: { b: false } })
      .build('y');
    const data = async function* () {
      yield toSample(drawFeeds(even, random));
    };
    const report = await convertGraph(even, data, {
      rotate: true,
      config: { layers: [{ match: 'y', weights: 'uniform2' }] },
    });
    expect(report.quantized[0]).not.toHaveProperty('rotation');
  });
});

describe('the configuration in the report', () => {
  test.each<[string, Options]>([
    ['a format with rotations', { weights: 'trellis2', rotate: 64, group: 64 }],
    ['a mix', { targetBits: 4, rotate: true }],
  ])('gives the same model when read back: %s', async (_, options) => {
    const folder = temporaryFolder();
    const write = async (name: string, made: Graph) => {
      await writeGraphModel(made, join(folder, name));
      return Object.fromEntries(
        readdirSync(join(folder, name)).map((f) => [f, readFileSync(join(folder, name, f))]),
      );
    };
    const report = await convertWith({ samples: 6, ...options });
    const again = await convertWith({ config: report.config });
    expect(report.config).not.toHaveProperty('targetBits');
    expect(await write('again', again.graph)).toEqual(await write('first', report.graph));
  });
});

test.each([
  [3, 3],
  [8, 0.5],
] as const)('error feedback leaves less noise in the outputs at %i bits', async (bits, gain) => {
  const random = randomOf('correlated', 0);
  const float = new FloatGraph(random)
    .input('x', [-1, 96])
    .weights('w', [96, 40])
    .node('y', 'MatMul', ['x', 'w'], { transpose_a: { b: false }, transpose_b: { b: false } })
    .build('y');
  // Ten causes behind 96 inputs.
  const mixing = Array.from({ length: 10 * 96 }, () => random.real(-1, 1));
  const draw = () => {
    const shape = [64, 96];
    const values = new Float32Array(64 * 96);
    for (let row = 0; row < 64; row++) {
      const causes = Array.from({ length: 10 }, () => random.real(-1, 1));
      for (let k = 0; k < 96; k++)
        values[row * 96 + k] = causes.reduce(
          (sum, c, i) => sum + c * mixing[i * 96 + k],
          random.real(-0.1, 0.1),
        );
    }
    return { x: { shape, values } };
  };
  const seen = draw();
  const data = async function* () {
    yield toSample(seen);
  };
  const fresh = draw();
  const [expected] = await execute(float, fresh);
  const quality = async (errorFeedback: boolean) => {
    const config = { layers: [{ match: 'y', bits }] };
    const { graph: converted } = await convertGraph(float, data, { errorFeedback, config });
    const [received] = await execute(converted, fresh);
    return signalToNoise(expected.values, received.values);
  };
  expect(await quality(true)).toBeGreaterThan((await quality(false)) + gain);
});

test('a mix has at most the target bits, wider where it costs more', async () => {
  const report = await convertWith({ targetBits: 3.5 });
  const { allocation } = report;
  expect(report.bitsPerWeight).toBeLessThanOrEqual(3.5);
  expect(report.bitsPerWeight).toBeCloseTo(allocation!.bitsPerWeight, 6);
  for (const { options } of allocation!.layers) {
    expect(options.map(({ bits }) => bits)).toEqual([8, 4, 3, 2]);
    expect(options[3].signalToNoise).toBeLessThan(options[0].signalToNoise);
  }
  const same = await convertWith({ weights: 'uniform2', config: { layers: [{ match: '**', bits: 3 }] } });
  const quality = async (made: Graph) => {
    const [expected, received] = [await execute(graph, feeds), await execute(made, feeds)];
    return signalToNoise(expected[0].values, received[0].values);
  };
  expect(await quality(report.graph)).toBeGreaterThan((await quality(same.graph)) - 1);
  await expect(convertWith({ targetBits: 2.05 })).rejects.toThrow(/cannot have 2.05 bits on average/);
});

test('the range of INT8 weights counts where a mix measures them', async () => {
  const random = randomOf('weight range of a mix', 0);
  // In each output one weight of 1 among so many smaller ones that cutting it off pays.
  const values = Array.from({ length: 4096 * 8 }, (_, i) => (i < 8 ? 1 : random.real(-0.3, 0.3)));
  const plain = { transpose_a: { b: false }, transpose_b: { b: false } };
  const outliers = new FloatGraph(random)
    .input('x', [-1, 4096])
    .constant('a/w', [4096, 8], values)
    .node('a', 'MatMul', ['x', 'a/w'], plain)
    .build('a');
  const data = [toSample(drawFeeds(outliers, random))];
  const mix = async (weightRange: 'max' | 'mse') => {
    const each = async function* () {
      yield* data;
    };
    const { allocation } = await convertGraph(outliers, each, { targetBits: 3.5, weightRange });
    return allocation!.layers[0]!.options.map(({ signalToNoise: found }) => found);
  };
  const [[max, ...narrow], [mse, ...same]] = [await mix('max'), await mix('mse')];
  expect(mse).not.toBe(max);
  expect(same).toEqual(narrow);
});

test.each(['first', 'wide', 'narrow', 'again'])(
  '%s, where its low-bit weights cost the most, gets int16 activations',
  async (match) => {
    const config = { layers: [{ match, bits: 2 as const }] };
    const { quantized } = await convertWith({ int16: 1, config });
    const wide = quantized.filter(
      ({ activationPrecision, op }) => activationPrecision === 'int16' && op !== 'Relu',
    );
    expect(wide.map(({ name }) => name)).toContain(match);
  },
);

test('an accuracy target is measured with the low-bit weights', async () => {
  const low = { config: { layers: [{ match: '**', bits: 2 as const }] } };
  const { graph: converted, accuracy } = await convertWith({ ...low, minSignalToNoise: 1 });
  expect(accuracy!.kept).toEqual([]);
  const float: number[] = [];
  const received: number[] = [];
  for (const sample of samples) {
    const data = { image: { shape: [...sample.image!.shape], values: sample.image!.values as Float32Array } };
    float.push(...(await execute(graph, data))[0]!.values);
    received.push(...(await execute(converted, data))[0]!.values);
  }
  const measured = signalToNoise(Float32Array.from(float), Float32Array.from(received));
  expect(accuracy!.converted.signalToNoise).toBeCloseTo(measured, 1);
});

test('the mean of a convolution is that of the float one, though most of its windows lie on padding', async () => {
  const random = randomOf('padded means', 0);
  const graph = new FloatGraph(random)
    .input('x', [-1, 3, 3, 32])
    .weights('w', [3, 3, 32, 4])
    .node('y', 'Conv2D', ['x', 'w'], windowAttrs())
    .build('y');
  const sample = (): Sample => {
    const values = Float32Array.from({ length: 2 * 9 * 32 }, () => random.real(0.5, 1.5));
    return { x: { dtype: 'float32', shape: [2, 3, 3, 32], values } };
  };
  const samples = Array.from({ length: 16 }, sample);
  const source = async function* () {
    yield* samples;
  };
  const config: Config = { version: 1, layers: [{ match: 'y', weights: 'uniform2', group: 32 }] };
  const { graph: converted } = await convertGraph(graph, source, { config });
  const mean = async (of: Graph) => {
    const sums = new Float64Array(4);
    for (const { x } of samples) {
      const [{ values }] = await execute(of, {
        x: { shape: [...x.shape], values: x.values as Float32Array },
      });
      values.forEach((v, i) => {
        sums[i % 4] += v / (samples.length * 18);
      });
    }
    return sums;
  };
  const [float, low] = [await mean(graph), await mean(converted)];
  for (let c = 0; c < 4; c++) expect(Math.abs(low[c] - float[c])).toBeLessThan(0.1);
});
