import { type LayerInput, measurable, measureHessians } from '../../src/calibration/hessians';
import { output } from '../../src/graph/edit';
import type { Graph, Sample } from '../../src/graph/ir';
import { type LinearOp, readLinearOp } from '../../src/passes/linear-op';
import { rotatedWeights } from '../../src/passes/quantize/lower/encode-layer';
import { inputChannels } from '../../src/passes/quantize/lower/filter-order';
import { windowOf } from '../../src/passes/quantize/lower/window';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { type Random, randomOf } from '../support/random';

const ROTATION = { block: 64, seed: 3 };

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

function source(samples: readonly Sample[]) {
  return async function* () {
    yield* samples;
  };
}

async function hessianOf(graph: Graph, layer: LayerInput, samples: readonly Sample[]) {
  let found: Float32Array | undefined;
  await measureHessians(graph, [layer], source(samples), { samples: samples.length }, (_, hessian) => {
    found = hessian;
  });
  return found!;
}

/** w^T H w: the mean square of the output that weights w compute. */
function energy(hessian: Float32Array, weights: Float32Array): number {
  const depth = weights.length;
  let sum = 0;
  for (let i = 0; i < depth; i++)
    for (let j = 0; j < depth; j++) sum += weights[i] * hessian[i * depth + j] * weights[j];
  return sum;
}

test.each([
  { size: 1, options: { strides: 2 } },
  { size: 3, options: { strides: 1, padding: 'SAME' } },
  { size: 3, options: { strides: 2, padding: 'VALID' } },
  { size: 2, options: { strides: 2, padding: 'EXPLICIT', pads: [0, 0, 1, 0, 2, 1, 0, 0] } },
])('w^T H w is the mean square of what a convolution computes: $size $options', async ({ size, options }) => {
  const graph = new FloatGraph(random)
    .input('image', [-1, 6, 5, 4])
    .weights('w', [size, size, 4, 3])
    .node('conv', 'Conv2D', ['image', 'w'], windowAttrs(options))
    .build('conv');
  const feeds = [drawFeeds(graph, random), drawFeeds(graph, random)];
  const op = readLinearOp(graph, graph.nodes.get('conv')!) as LinearOp;
  const window = windowOf(op.node, [size, size]);
  if (typeof window === 'string') throw new Error(window);
  const depth = size * size * 4;
  const squares = [0, 0, 0];
  let positions = 0;
  for (const feed of feeds) {
    const [{ values }] = await execute(graph, feed);
    values.forEach((value, i) => {
      squares[i % 3] += value ** 2;
    });
    positions += values.length / 3;
  }
  for (const rotation of [undefined, ROTATION]) {
    const layer = { name: 'conv', ref: output('image'), depth, window, ...(rotation && { rotation }) };
    const hessian = await hessianOf(graph, layer, feeds.map(toSample));
    const weights = rotatedWeights(op, rotation);
    for (let c = 0; c < 3; c++) {
      const row = weights.subarray(c * depth, (c + 1) * depth);
      expect(energy(hessian, row) / (squares[c] / positions)).toBeCloseTo(1, 5);
    }
  }
  expect(inputChannels(op)).toBe(4);
});

test('layers that multiply the same tensor alike share a matrix, and no others', async () => {
  const graph = new FloatGraph(random).input('x', [-1, 4]).node('y', 'Relu', ['x']).build('y');
  const samples = [toSample(drawFeeds(graph, random))];
  const x = { ref: output('x'), depth: 4 };
  const layers = [
    { name: 'query', ...x },
    { name: 'after', ...x, ref: output('y') },
    { name: 'key', ...x },
    { name: 'rotated', ...x, rotation: ROTATION },
    { name: 'value', ...x },
  ];
  const found = new Map<string, Float32Array>();
  await measureHessians(graph, layers, source(samples), { samples: 1 }, (name, hessian) => {
    found.set(name, hessian!);
  });
  expect(found.get('key')).toBe(found.get('query'));
  expect(found.get('value')).toBe(found.get('query'));
  for (const name of ['after', 'rotated']) {
    const layer = layers.find((each) => each.name === name)!;
    expect(found.get(name)).toEqual(await hessianOf(graph, layer, samples));
    expect(found.get(name)).not.toEqual(found.get('query'));
  }
});

test('passes over a layer of too many inputs, and measures the others', async () => {
  const graph = new FloatGraph(random).input('x', [-1, 4]).node('y', 'Relu', ['x']).build('y');
  const layers = [
    { name: 'wide', ref: output('x'), depth: 5000 },
    { name: 'narrow', ref: output('x'), depth: 4 },
  ];
  const found = new Map<string, number | undefined>();
  const samples = [toSample(drawFeeds(graph, random))];
  await measureHessians(graph, layers, source(samples), { samples: 1 }, (name, hessian) => {
    found.set(name, hessian?.length);
  });
  expect([...found]).toEqual([
    ['wide', undefined],
    ['narrow', 16],
  ]);
});

test('a large model has no matrix of a layer for which there is not room', () => {
  const graph = new FloatGraph(random).input('x', [-1, 4]).node('y', 'Relu', ['x']).build('y');
  const withBytes = (bytes: number): Graph => {
    // Whose values nobody looks at.
    const weights = { dtype: 'float32', shape: [bytes / 4], values: new Float32Array() } as const;
    return { ...graph, constants: new Map([['w', weights]]) };
  };
  const measurableAt = (megabytes: number) => {
    const isMeasurable = measurable(withBytes(megabytes * 2 ** 20));
    return [1024, 2304, 3456, 4096, 4608].filter(isMeasurable);
  };
  expect(measurableAt(10)).toEqual([1024, 2304, 3456, 4096]);
  expect(measurableAt(100)).toEqual([1024, 2304]);
  expect(measurableAt(500)).toEqual([1024, 2304, 3456, 4096]);
});
