import { attr } from '../../src/graph/attrs';
import { optimize } from '../../src/passes/pipeline';
import { sinkLayoutOps } from '../../src/passes/sink-layout-ops';
import { execute, expectSameFunction, FloatGraph, ops, windowAttrs } from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** A convolution to 12 channels, moved to 3 of four times the pixels. */
function grown(): FloatGraph {
  return new FloatGraph(random)
    .input('image', [2, 4, 4, 6])
    .weights('w', [1, 1, 6, 12], -0.5, 0.5)
    .weights('b', [3])
    .node('conv', 'Conv2D', ['image', 'w'], windowAttrs())
    .node('moved', 'DepthToSpace', ['conv'], {
      block_size: attr.int(2),
      data_format: attr.string('NHWC'),
      T: attr.dtype('float32'),
    });
}

test('a bias and a clamp reach the convolution', async () => {
  const graph = grown()
    .node('biased', 'AddV2', ['b', 'moved'])
    .node('relu', 'Relu6', ['biased'])
    .node('difference', 'Sub', ['b', 'relu'])
    .build('difference');
  const { graph: lifted } = optimize(graph);
  expect(ops(lifted)).toEqual(['_FusedConv2D', 'Sub', 'DepthToSpace']);
  await expectSameFunction(graph, lifted, random);
});

test('the bias of a dense layer on tokens reaches its product', async () => {
  const graph = new FloatGraph(random)
    .input('x', [-1, 8])
    .constant('tokens', [3], [-1, 4, 6], 'int32')
    .weights('w', [8, 6])
    .weights('b', [6])
    .node('product', 'MatMul', ['x', 'w'])
    .node('grouped', 'Reshape', ['product', 'tokens'])
    .node('biased', 'BiasAdd', ['grouped', 'b'])
    .node('relu', 'Relu', ['biased'])
    .build('relu');
  const { graph: lifted } = optimize(graph);
  expect(ops(lifted)).toEqual(['_FusedMatMul', 'Reshape']);
  const feeds = { x: { shape: [8, 8], values: Float32Array.from({ length: 64 }, () => random.real(-2, 2)) } };
  const [[expected], [received]] = [await execute(graph, feeds), await execute(lifted, feeds)];
  expect(received.shape).toEqual(expected.shape);
  expected.values.forEach((value, i) => {
    expect(received.values[i]).toBeCloseTo(value, 4);
  });
});

test.each([
  ['an output in between', (g: FloatGraph) => g.node('sum', 'AddV2', ['moved', 'b']).build('moved', 'sum')],
  [
    'a constant of another value for each pixel',
    (g: FloatGraph) => g.weights('c', [8, 8, 3]).node('sum', 'AddV2', ['moved', 'c']).build('sum'),
  ],
  ['a sum with itself', (g: FloatGraph) => g.node('sum', 'AddV2', ['moved', 'moved']).build('sum')],
])('%s is left alone', (_, build) => {
  const graph = build(grown());
  expect(sinkLayoutOps.apply(graph).graph.nodes).toEqual(graph.nodes);
});
