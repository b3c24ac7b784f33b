// @needs engine
import { decomposeTransposedConvolution } from '../../src/passes/decompose-transposed-convolution';
import { optimize } from '../../src/passes/pipeline';
import { removeDeadNodes } from '../../src/passes/remove-dead-nodes';
import { expectSameFunction, FloatGraph, ops, windowAttrs } from '../support/float-graph';
import { fidelity, quantize } from '../support/quantize';
import { randomOf } from '../support/random';

const random = randomOf('spread-transposed', 0);

function transposed(kernel: number, strides: number, size: number, padding = 'VALID') {
  return new FloatGraph(random)
    .input('x', [2, 5, 4, 6])
    .weights('w', [kernel, kernel, 3, 6])
    .constant('size', [4], [2, 5 * size, 4 * size, 3], 'int32')
    .node('up', 'Conv2DBackpropInput', ['size', 'w', 'x'], windowAttrs({ strides, padding }));
}

test.each([
  [2, 'VALID'],
  [2, 'SAME'],
  [3, 'VALID'],
])('a window of %d and as large a stride, %s', async (side, padding) => {
  const graph = transposed(side, side, side, padding).build('up');
  const result = decomposeTransposedConvolution.apply(graph).graph;
  await expectSameFunction(graph, result, random);
  expect(ops(removeDeadNodes.apply(result).graph)).toEqual(['Conv2D', 'DepthToSpace']);
});

test('a window of one pixel is a 1x1 convolution', async () => {
  const graph = transposed(1, 1, 1).build('up');
  const result = decomposeTransposedConvolution.apply(graph).graph;
  await expectSameFunction(graph, result, random);
  expect(ops(removeDeadNodes.apply(result).graph)).toEqual(['Conv2D']);
});

test('windows that overlap are left alone', () => {
  const { changes } = decomposeTransposedConvolution.apply(transposed(3, 2, 2, 'SAME').build('up'));
  expect(changes.map((c) => c.detail)).toEqual(['not decomposed: its windows overlap']);
});

test('quantized between two convolutions', async () => {
  const graph = transposed(2, 2, 2)
    .weights('v', [1, 1, 3, 4])
    .node('after', 'Conv2D', ['up', 'v'], windowAttrs())
    .build('after');
  const { graph: optimized } = optimize(graph);
  const { graph: quantized, plan } = await quantize(optimized, random);
  expect(plan.float.size).toBe(0);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
});
