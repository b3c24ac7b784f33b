// @needs engine
/** Models whose weights alone are quantized: what TF.js computes with them. */
import { convertGraph } from '../../src/conversion/convert-graph';
import type { QuantizationOptions } from '../../src/conversion/options/options';
import { attr } from '../../src/graph/attrs';
import type { Graph, Sample } from '../../src/graph/ir';
import { decodeMatrix } from '../../src/quantization/formats/decode';
import { encodeMatrix } from '../../src/quantization/formats/encode';
import { FORMATS } from '../../src/quantization/formats/registry';
import { signalToNoise } from '../../src/quantization/metrics';
import { LoadedGraph } from '../../src/tfjs/loaded-graph';
import '../../src/index.node';
import { drawFeeds, execute, FloatGraph, ops } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

type Options = Omit<QuantizationOptions, 'onProgress' | 'signal'>;

const PLAIN = { transpose_a: { b: false }, transpose_b: { b: false } };

function convertWeights(graph: Graph, options: Options, samples?: readonly Sample[]) {
  const source = async function* () {
    yield* samples ?? [];
  };
  return convertGraph(graph, samples && source, { activations: 'float32', ...options });
}

/** The same graph with a constant replaced. */
function withConstant(graph: Graph, name: string, values: Float32Array): Graph {
  const constants = new Map(graph.constants);
  constants.set(name, { ...constants.get(name)!, values });
  return { ...graph, constants };
}

function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Two products, the second with a bias and a rectifier. */
function dense(): Graph {
  return new FloatGraph(random)
    .input('x', [-1, 96])
    .weights('a/w', [96, 64])
    .node('a', 'MatMul', ['x', 'a/w'], PLAIN)
    .node('tanh', 'Tanh', ['a'])
    .weights('b/w', [64, 70])
    .weights('b/b', [70])
    .node('product', 'MatMul', ['tanh', 'b/w'], PLAIN)
    .node('biased', 'BiasAdd', ['product', 'b/b'])
    .node('b', 'Relu', ['biased'])
    .build('b');
}

test.each(FORMATS)('%s: products are those of the decoded weights', async (format) => {
  const graph = dense();
  const layers = [{ match: 'b', weights: format, group: 64 as const }];
  const { graph: converted, ...report } = await convertWeights(graph, { config: { layers } });
  expect(ops(converted)).toEqual(['QuantizedRegion', 'Tanh', 'QuantizedRegion']);
  expect(report.quantized.map(({ name, weights }) => [name, weights])).toEqual([
    ['a', 'int8'],
    ['b', format],
  ]);
  const weights = graph.constants.get('b/w')!.values as Float32Array;
  const matrix = encodeMatrix(format, transposed(weights, 64), 70, 64, { group: 64 });
  const decoded = withConstant(graph, 'b/w', transposed(decodeMatrix(matrix), 70));
  const feeds = drawFeeds(graph, random);
  const [expected] = await execute(decoded, feeds);
  const [received] = await execute(converted, feeds);
  const [float] = await execute(graph, feeds);
  // What is left is the INT8 of the first product.
  expect(signalToNoise(expected.values, received.values)).toBeGreaterThan(35);
  expect(signalToNoise(expected.values, float.values)).toBeLessThan(30);
});

test('INT8 weights alone cost next to nothing', async () => {
  const graph = dense();
  const feeds = drawFeeds(graph, random);
  const [float] = await execute(graph, feeds);
  const { graph: converted } = await convertWeights(graph, {});
  const [received] = await execute(converted, feeds);
  expect(signalToNoise(float.values, received.values)).toBeGreaterThan(35);
});

test('errors of weights are weighed by what they multiply, and fed back', async () => {
  // Large weights of inputs that hardly vary, and small ones of inputs that do.
  const quiet = (k: number) => k % 96 < 80;
  const values = Float32Array.from(
    { length: 96 * 64 },
    (_, i) => random.real(-1, 1) * (quiet(Math.floor(i / 64)) ? 4 : 1),
  );
  const graph = new FloatGraph(random)
    .input('x', [-1, 96])
    .constant('w', [96, 64], values)
    .node('y', 'MatMul', ['x', 'w'], PLAIN)
    .build('y');
  const draw = () => {
    const { x } = drawFeeds(graph, random);
    return { x: { ...x, values: x.values.map((v, i) => (quiet(i) ? v / 50 : v)) } };
  };
  const samples = Array.from({ length: 128 }, () => toSample(draw()));
  const feeds = draw();
  const [float] = await execute(graph, feeds);
  const quality = async (data: readonly Sample[] | undefined, errorFeedback = false) => {
    const config = { layers: [{ match: 'y', bits: 3 as const }] };
    const { graph: converted } = await convertWeights(graph, { config, errorFeedback }, data);
    return signalToNoise(float.values, (await execute(converted, feeds))[0].values);
  };
  const plain = await quality(undefined);
  expect(await quality(samples)).toBeGreaterThan(plain + 3);
  expect(await quality(samples, true)).toBeGreaterThan(plain + 3);
});

test('errors of weights are weighed by what they multiply, also where two rotations turn the same tensor', async () => {
  const heavyTailed = (): Float32Array =>
    Float32Array.from({ length: 256 * 32 }, () => random.real(-1, 1) * (random.chance(0.03) ? 20 : 1));
  const graph = new FloatGraph(random)
    .input('x', [-1, 256])
    .constant('a/w', [256, 32], heavyTailed())
    .node('a', 'MatMul', ['x', 'a/w'], PLAIN)
    .constant('b/w', [256, 32], heavyTailed())
    .node('b', 'MatMul', ['x', 'b/w'], PLAIN)
    .build('a', 'b');
  const { x } = drawFeeds(graph, random);
  const samples = [toSample({ x: { ...x, values: x.values.map((v, i) => (i % 256 < 128 ? v / 50 : v)) } })];
  const a = { match: 'a', bits: 3 as const, rotate: 64 as const };
  const b = { match: 'b', bits: 3 as const, rotate: 128 as const };
  const both = await convertWeights(graph, { config: { layers: [a, b] } }, samples);
  expect(both.quantized.map(({ rotation }) => rotation)).toEqual(['computed', 'computed']);
  for (const [layer, other] of [
    [a, b],
    [b, a],
  ]) {
    const config = { layers: [layer!, { match: other!.match, bits: 'float' as const }] };
    const alone = await convertWeights(graph, { config }, samples);
    const name = `${layer!.match}/weights`;
    expect(both.graph.constants.get(name)).toEqual(alone.graph.constants.get(name));
    expect(alone.graph.constants.has(name)).toBe(true);
  }
});

test('rows of a table are gathered from its codes', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 3])
    .node('indices', 'Cast', ['x'], { SrcT: attr.dtype('float32'), DstT: attr.dtype('int32') })
    .weights('table', [100, 48])
    .constant('axis', [], [0], 'int32')
    .node('rows', 'GatherV2', ['table', 'indices', 'axis'], { batch_dims: attr.int(0) })
    .build('rows');
  const config = { layers: [{ match: 'rows', weights: 'trellis2' as const, group: 32 as const }] };
  const { graph: converted, ...report } = await convertWeights(graph, { config });
  expect(ops(converted)).toEqual(['Cast', 'QuantizedGather']);
  expect(report.quantized[0]).toMatchObject({ name: 'rows', weights: 'trellis2', group: 32 });
  const table = graph.constants.get('table')!.values as Float32Array;
  const decoded = decodeMatrix(encodeMatrix('trellis2', table, 100, 48, { group: 32 }));
  const feeds = { x: { shape: [2, 3], values: Float32Array.of(0, 99, 5, 5, 17, 42) } };
  const [{ shape, values }] = await execute(converted, feeds);
  expect(shape).toEqual([2, 3, 48]);
  for (const [i, row] of feeds.x.values.entries())
    expect(values.subarray(i * 48, (i + 1) * 48)).toEqual(decoded.subarray(row * 48, (row + 1) * 48));
});

/** h = tanh(h W), from the input, until its largest element is below a bound. */
function recurrent(): Graph {
  const frame = (constant: boolean) => ({ frame_name: attr.string('loop'), is_constant: { b: constant } });
  return new FloatGraph(random)
    .input('x', [-1, 72])
    .weights('w', [72, 72], -0.1, 0.1)
    .constant('axes', [2], [0, 1], 'int32')
    .constant('limit', [], [0.2])
    .node('enter', 'Enter', ['x'], frame(false))
    .node('w/enter', 'Enter', ['w'], frame(true))
    .node('axes/enter', 'Enter', ['axes'], frame(true))
    .node('limit/enter', 'Enter', ['limit'], frame(true))
    .node('merge', 'Merge', ['enter', 'next'])
    .node('largest', 'Max', ['merge', 'axes/enter'], { keep_dims: { b: false } })
    .node('greater', 'Greater', ['largest', 'limit/enter'])
    .node('condition', 'LoopCond', ['greater'])
    .node('switch', 'Switch', ['merge', 'condition'])
    .node('cell', 'MatMul', ['switch:1', 'w/enter'], PLAIN)
    .node('tanh', 'Tanh', ['cell'])
    .node('next', 'NextIteration', ['tanh'])
    .node('exit', 'Exit', ['switch'])
    .build('exit');
}

async function compute(graph: Graph, sample: Sample): Promise<Float32Array> {
  const loaded = await LoadedGraph.load(graph);
  try {
    const [output] = await loaded.predict(sample);
    return output.values;
  } finally {
    loaded.dispose();
  }
}

test('a product in a loop has its weights quantized', async () => {
  const graph = recurrent();
  const config = { layers: [{ match: 'cell', weights: 'uniform4' as const }] };
  const { graph: converted, quantized } = await convertWeights(graph, { config });
  expect(quantized).toEqual([expect.objectContaining({ name: 'cell', weights: 'uniform4' })]);
  expect(converted.constants.has('w')).toBe(false);
  const weights = graph.constants.get('w')!.values as Float32Array;
  const decoded = decodeMatrix(encodeMatrix('uniform4', transposed(weights, 72), 72, 72));
  const sample = toSample(drawFeeds(graph, random));
  const expected = await compute(withConstant(graph, 'w', transposed(decoded, 72)), sample);
  expect(signalToNoise(expected, await compute(converted, sample))).toBeGreaterThan(90);
});

test('tells what stays as it is, and why', async () => {
  const graph = new FloatGraph(random)
    .input('image', [-1, 4, 4, 8])
    .weights('conv/w', [3, 3, 8, 64])
    .node('conv', 'Conv2D', ['image', 'conv/w'], {
      strides: attr.ints([1, 1, 1, 1]),
      padding: attr.string('SAME'),
    })
    .constant('axes', [2], [1, 2], 'int32')
    .node('mean', 'Mean', ['conv', 'axes'], { keep_dims: { b: false } })
    .weights('wide/w', [64, 80])
    .node('wide', 'MatMul', ['mean', 'wide/w'], PLAIN)
    .weights('narrow/w', [80, 4])
    .node('narrow', 'MatMul', ['wide', 'narrow/w'], PLAIN)
    .build('narrow');
  const report = await convertWeights(graph, { weights: 'int4' });
  expect(report.float.map(({ name, reason }) => [name, reason])).toEqual([
    ['conv', 'its window is 3x3: convolutions stay float'],
    ['narrow', 'it has only 320 weights'],
  ]);
  expect(report.quantized).toEqual([
    expect.objectContaining({ name: 'wide', weights: 'int8', weightsReason: 'it is the first layer' }),
  ]);
  const wide = [{ match: 'wide', activations: 'int16' as const }];
  for (const [name, options] of [
    ['targetBits', { targetBits: 3 }],
    ['int16', { int16: 1 }],
    ['int16', { int16: ['wide'] }],
    ['int16', { config: { layers: wide } }],
  ] as const) {
    await expect(convertWeights(graph, options)).rejects.toThrow(
      new RegExp(`option ${name} .* INT8 activations`),
    );
  }
});

test('encoding weights goes on until all that are low-bit are encoded', async () => {
  const graph = dense();
  const done: number[][] = [];
  const config = { layers: [{ match: 'b', bits: 4 as const }] };
  await convertGraph(graph, undefined, {
    activations: 'float32',
    config,
    onProgress: (progress) =>
      progress.stage === 'encode weights' && done.push([progress.done, progress.total]),
  });
  expect(done).toEqual([[1, 1]]);
});

test('the configuration in the report gives the same model', async () => {
  const graph = dense();
  const samples = Array.from({ length: 4 }, () => toSample(drawFeeds(graph, random)));
  const options: Options = {
    rotate: 64,
    group: 32,
    config: { layers: [{ match: '{a,b}', weights: 'lloyd2' }] },
  };
  const report = await convertWeights(graph, options, samples);
  const again = await convertWeights(graph, { config: report.config }, samples);
  expect(again.config).toEqual(report.config);
  expect([...again.graph.constants]).toEqual([...report.graph.constants]);
});
