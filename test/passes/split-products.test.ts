import { attr } from '../../src/graph/attrs';
import { optimize } from '../../src/passes/pipeline';
import { splitProducts } from '../../src/passes/split-products';
import { FloatGraph, fusedAttrs, ops, windowAttrs } from '../support/float-graph';
import { applyPass, declined } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** [3, 4] . [4, 5], both of them inputs, with a bias. */
function product(fused: string[], attrs = {}): FloatGraph {
  return new FloatGraph(random)
    .input('a', [3, 4])
    .input('b', [4, 5])
    .weights('bias', [5])
    .node('y', '_FusedMatMul', ['a', 'b', 'bias'], { ...fusedAttrs(fused), ...attrs });
}

describe('split-products', () => {
  test('separates the bias from a product of two activations', async () => {
    const { live, graph } = await applyPass(splitProducts, product(['BiasAdd']).build('y'), random);
    expect(live).toEqual(['MatMul', 'AddV2']);
    expect(graph.nodes.get('y')?.op).toBe('AddV2');
  });

  test.each(['Relu', 'Relu6', 'Elu', 'Sigmoid'])('separates %s too, under the old name', async (op) => {
    const { live, graph } = await applyPass(splitProducts, product(['BiasAdd', op]).build('y'), random);
    expect(live).toEqual(['MatMul', 'AddV2', op]);
    expect(graph.nodes.get('y')?.op).toBe(op);
  });

  test('keeps the transposition of an operand', async () => {
    const graph = new FloatGraph(random)
      .input('a', [3, 4])
      .input('b', [5, 4])
      .weights('bias', [5])
      .node('y', '_FusedMatMul', ['a', 'b', 'bias'], {
        ...fusedAttrs(['BiasAdd']),
        transpose_b: attr.bool(true),
      });
    expect((await applyPass(splitProducts, graph.build('y'), random)).live).toEqual(['MatMul', 'AddV2']);
  });

  test('leaves a dense layer as it is', async () => {
    const graph = new FloatGraph(random)
      .input('a', [3, 4])
      .weights('w', [4, 5])
      .weights('bias', [5])
      .node('y', '_FusedMatMul', ['a', 'w', 'bias'], fusedAttrs(['BiasAdd', 'Relu']));
    const { live, changes } = await applyPass(splitProducts, graph.build('y'), random);
    expect(live).toEqual(['_FusedMatMul']);
    expect(changes).toEqual([]);
  });

  test.each([
    ['_FusedConv2D', [2, 6, 6, 5], 5, 'Conv2D'],
    ['_FusedConv2D', [1, 6, 6, 1], 5, 'Conv2D'],
    ['FusedDepthwiseConv2dNative', [2, 6, 6, 4], 1, 'DepthwiseConv2dNative'],
  ])('separates a residual of shape %p from a layer', async (op, shape, last, plain) => {
    for (const fused of [['BiasAdd'], ['BiasAdd', 'Relu']]) {
      const graph = new FloatGraph(random)
        .input('image', [2, 6, 6, 4])
        .input('residual', shape)
        .weights('w', [3, 3, 4, last], -0.4, 0.4)
        .node('y', op, ['image', 'w', 'residual'], { ...windowAttrs(), ...fusedAttrs(fused) })
        .build('y');
      const { live, graph: after } = await applyPass(splitProducts, graph, random);
      expect(live).toEqual([plain, 'AddV2', ...fused.slice(1)]);
      expect(ops(optimize(after).graph)).toEqual([plain, 'AddV2', ...fused.slice(1)]);
    }
  });

  test('separates a constant that is a whole map, and leaves a single one', async () => {
    const build = (shape: number[]) =>
      new FloatGraph(random)
        .input('a', [3, 4])
        .weights('w', [4, 5])
        .weights('bias', shape)
        .node('y', '_FusedMatMul', ['a', 'w', 'bias'], fusedAttrs(['BiasAdd', 'Relu']))
        .build('y');
    const { live } = await applyPass(splitProducts, build([3, 5]), random);
    expect(live).toEqual(['MatMul', 'AddV2', 'Relu']);
    expect((await applyPass(splitProducts, build([]), random)).live).toEqual(['_FusedMatMul']);
  });

  test('declines another activation', () => {
    const graph = product(['BiasAdd', 'LeakyRelu']).build('y');
    expect(declined(splitProducts.apply(graph))).toEqual(['not separated: it is fused with LeakyRelu']);
  });
});
