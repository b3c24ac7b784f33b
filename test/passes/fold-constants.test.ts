import { attr } from '../../src/graph/attrs';
import { foldConstants } from '../../src/passes/fold-constants';
import { FloatGraph, ops } from '../support/float-graph';
import { applyPass, convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('fold-constants', () => {
  test('computes the arithmetic of a written-out batch norm', async () => {
    const graph = convolution(random)
      .weights('variance', [4], 0.5, 2)
      .constant('epsilon', [], [1e-3])
      .weights('gamma', [4])
      .node('sum', 'AddV2', ['variance', 'epsilon'])
      .node('inverse', 'Rsqrt', ['sum'])
      .node('scale', 'Mul', ['inverse', 'gamma'])
      .node('scaled', 'Mul', ['conv', 'scale'])
      .build('scaled');
    expect((await applyPass(foldConstants, graph, random)).live).toEqual(['Conv2D', 'Mul']);
  });

  test('transposes, reshapes and expands constants', async () => {
    const graph = new FloatGraph(random)
      .input('x', [2, 3])
      .weights('w', [3, 4])
      .constant('order', [2], [1, 0], 'int32')
      .constant('shape', [2], [-1, 3], 'int32')
      .constant('axis', [], [0], 'int32')
      .node('transposed', 'Transpose', ['w', 'order'])
      .node('reshaped', 'Reshape', ['transposed', 'shape'])
      .node('expanded', 'ExpandDims', ['reshaped', 'axis'])
      .node('squeezed', 'Squeeze', ['expanded'], { squeeze_dims: attr.ints([0]) })
      .node('y', 'MatMul', ['x', 'squeezed'], { transpose_b: { b: true } })
      .build('y');
    expect((await applyPass(foldConstants, graph, random)).live).toEqual(['MatMul']);
  });

  test('keeps an output, and a broadcast that would grow', () => {
    const graph = new FloatGraph(random)
      .input('x', [1])
      .weights('column', [1000, 1])
      .weights('row', [1, 1000])
      .node('table', 'Mul', ['column', 'row'])
      .node('double', 'AddV2', ['row', 'row'])
      .build('table', 'double');
    expect(ops(foldConstants.apply(graph).graph)).toEqual(['Mul', 'AddV2']);
  });
});
