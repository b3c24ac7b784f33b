/** What TF.js's WebAssembly backend cannot do, or does wrong, against its backend `cpu`. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { calibrate } from '../../src/calibration/runner';
import { attr } from '../../src/graph/attrs';
import type { DenseTensor, Graph } from '../../src/graph/ir';
import { readModel } from '../../src/graph/read-model';
import { importBackend, withBackend } from '../../src/tfjs/backends';
import { LoadedGraph } from '../../src/tfjs/loaded-graph';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { forEachCase, randomOf } from '../support/random';
import { describeWithShared, shared } from '../support/shared';

const random = randomOf('loaded graph', 0);

/** The outputs on the backend that we choose, and on `cpu`. */
async function both(graph: Graph, draw = random) {
  const feeds = drawFeeds(graph, draw);
  const ours = await withBackend(await importBackend(), async () => {
    const loaded = await LoadedGraph.load(graph);
    try {
      return { outputs: await loaded.predict(toSample(feeds)), backend: tf.getBackend() };
    } finally {
      loaded.dispose();
    }
  });
  return { ...ours, expected: await execute(graph, feeds) };
}

function expectClose(received: Float32Array, expected: Float32Array): void {
  expect(received.length).toBe(expected.length);
  const error = received.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i])), 0);
  expect(error).toBeLessThan(1e-4);
}

test('convolutions whose windows end before their input does', async () => {
  await forEachCase('short windows', 60, async (draw) => {
    const size = [draw.int(4, 12), draw.int(4, 12)];
    const kernel = [draw.int(1, 3), draw.int(1, 3)];
    const depthwise = draw.chance(0.5);
    const strides = attr.ints(depthwise ? [1, 4, 4, 1] : [1, draw.int(2, 4), draw.int(3, 4), 1]);
    const graph = new FloatGraph(draw)
      .input('x', [1, ...size, 2])
      .weights('w', [...kernel, 2, 3])
      .node('y', depthwise ? 'DepthwiseConv2dNative' : 'Conv2D', ['x', 'w'], { ...windowAttrs(), strides })
      .build('y');
    const { outputs, expected, backend } = await both(graph, draw);
    expect(backend).toBe('wasm');
    expectClose(outputs[0].values, expected[0].values);
  });
});

const FALLING_BACK: [string, Graph][] = [
  [
    'Einsum',
    new FloatGraph(random)
      .input('x', [2, 3, 4])
      .weights('w', [4, 5])
      .node('y', 'Einsum', ['x', 'w'], { equation: attr.string('abc,cd->abd'), N: attr.int(2) })
      .build('y'),
  ],
  [
    'a fused bias of rank 4',
    new FloatGraph(random)
      .input('x', [1, 4, 4, 2])
      .weights('w', [3, 3, 2, 2])
      .weights('b', [1, 1, 1, 2])
      .node('y', '_FusedConv2D', ['x', 'w', 'b'], {
        ...windowAttrs(),
        fused_ops: attr.strings(['BiasAdd', 'Relu']),
        num_args: attr.int(1),
        epsilon: attr.float(0),
      })
      .build('y'),
  ],
  [
    'a fused bias of rank 0',
    new FloatGraph(random)
      .input('x', [3, 2])
      .weights('w', [2, 4])
      .constant('b', [], [0.5])
      .node('y', '_FusedMatMul', ['x', 'w', 'b'], {
        fused_ops: attr.strings(['BiasAdd']),
        num_args: attr.int(1),
        transpose_a: { b: false },
        transpose_b: { b: false },
      })
      .build('y'),
  ],
  [
    'batched products of whole numbers',
    new FloatGraph(random)
      .constant('a', [2, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'int32')
      .constant('b', [2, 3, 1], [1, 2, 3, 4, 5, 6], 'int32')
      .input('x', [1])
      .node('product', 'BatchMatMulV2', ['a', 'b'], {
        T: attr.dtype('int32'),
        adj_x: { b: false },
        adj_y: { b: false },
      })
      .node('real', 'Cast', ['product'], { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') })
      .node('y', 'Mul', ['real', 'x'])
      .build('y'),
  ],
  [
    'a real Fourier transform',
    new FloatGraph(random)
      .input('x', [2, 8])
      .constant('length', [1], [8], 'int32')
      .node('spectrum', 'RFFT', ['x', 'length'])
      .node('y', 'ComplexAbs', ['spectrum'])
      .build('y'),
  ],
];

test.each(FALLING_BACK)('%s goes to the backend `cpu`', async (_, graph) => {
  await tf.setBackend('cpu');
  const { outputs, expected } = await both(graph);
  expect(outputs[0].shape).toEqual(expected[0].shape);
  expectClose(outputs[0].values, expected[0].values);
});

test('calibration says where it ran, and gives the backend of the user back', async () => {
  const [, graph] = FALLING_BACK[0];
  await importBackend();
  await tf.setBackend('wasm');
  const sample = toSample(drawFeeds(graph, random));
  const { provenance } = await calibrate(graph, [{ ref: { node: 'y', index: 0 } }], async function* () {
    yield sample;
  });
  expect(provenance.runtime).toMatch(/^tfjs .* cpu$/);
  expect(tf.getBackend()).toBe('wasm');
});

test('what no backend can run is an error with the node', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 3])
    .node('z', 'Relu', ['x'])
    .node('wrong', 'NoSuchOp', ['z'])
    .node('y', 'Neg', ['wrong'])
    .build('y');
  await expect(both(graph)).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringMatching(/NoSuchOp 'wrong'/),
  });
});

describeWithShared('a model of strings with a loop of functions', () => {
  test('tells programming languages, without a word of TF.js about what it keeps', async () => {
    const graph = await readModel(shared('models/guesslang/model.json'));
    const warn = jest.spyOn(console, 'warn');
    const loaded = await LoadedGraph.load(graph);
    const text = { dtype: 'string', shape: [1], values: ['def f(x):\n    return [y for y in x if y]\n'] };
    const [scores, ...others] = await loaded.predict({ inputs: text as unknown as DenseTensor });
    loaded.dispose();
    expect(others).toEqual([]);
    expect(scores.shape).toEqual([1, 54]);
    expect(scores.values.reduce((sum, v) => sum + v, 0)).toBeCloseTo(1, 4);
    expect(warn.mock.calls.filter(([message]) => /intermediate/.test(String(message)))).toEqual([]);
    expect(tf.env().getBool('KEEP_INTERMEDIATE_TENSORS')).toBe(false);
  });
});

test("a weight that is asked for is the caller's to dispose, and still there for the next run", async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 3])
    .weights('w', [3])
    .node('y', 'AddV2', ['x', 'w'], { T: attr.dtype('float32') })
    .build('y');
  const sample = toSample(drawFeeds(graph, random));
  const refs = ['w', 'y'].map((node) => ({ node, index: 0 }));
  await withBackend('cpu', async () => {
    const loaded = await LoadedGraph.load(graph);
    const feeds = loaded.feed(sample);
    for (let run = 0; run < 2; run++) {
      const [weight, sum] = await loaded.execute(feeds, refs);
      expect(weight.dataSync()).toEqual(graph.constants.get('w')!.values);
      expect(sum.shape).toEqual([2, 3]);
      tf.dispose([weight, sum]);
    }
    tf.dispose(feeds);
    loaded.dispose();
  });
});
