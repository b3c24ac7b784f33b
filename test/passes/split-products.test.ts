import { attr } from '../../src/graph/attrs';
import { splitProducts } from '../../src/passes/split-products';
import { FloatGraph, fusedAttrs } from '../support/float-graph';
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

  test('declines another activation', () => {
    const graph = product(['BiasAdd', 'LeakyRelu']).build('y');
    expect(declined(splitProducts.apply(graph))).toEqual(['not separated: it is fused with LeakyRelu']);
  });
});
