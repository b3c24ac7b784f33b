import { attr } from '../../src/graph/attrs';
import { splitActivations } from '../../src/passes/split-activations';
import { FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { applyPass, convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

test('split-activations separates a fused function that needs a table', async () => {
  const graph = convolution(random)
    .weights('bias', [4])
    .node('y', '_FusedConv2D', ['image', 'filter', 'bias'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', 'LeakyRelu']),
      leakyrelu_alpha: attr.float(0.3),
    })
    .build('y');
  expect((await applyPass(splitActivations, graph, random)).live).toEqual(['_FusedConv2D', 'LeakyRelu']);
});

test.each(['Elu', 'Sigmoid'])('split-activations separates %s from a depthwise convolution', async (op) => {
  const graph = new FloatGraph(random)
    .input('image', [-1, 6, 6, 3])
    .weights('filter', [3, 3, 3, 2])
    .weights('bias', [6])
    .node('y', 'FusedDepthwiseConv2dNative', ['image', 'filter', 'bias'], {
      ...windowAttrs({ strides: 2 }),
      ...fusedAttrs(['BiasAdd', op]),
    })
    .build('y');
  const { live } = await applyPass(splitActivations, graph, random);
  expect(live).toEqual(['FusedDepthwiseConv2dNative', op]);
});

test('split-activations gives the slopes of a Prelu to the node that computes it', async () => {
  const graph = convolution(random)
    .weights('bias', [4])
    .weights('slope', [4], -0.5, 0.5)
    .node('y', '_FusedConv2D', ['image', 'filter', 'bias', 'slope'], {
      ...windowAttrs(),
      fused_ops: attr.strings(['BiasAdd', 'Prelu']),
      num_args: attr.int(2),
    })
    .build('y');
  const { live, graph: split } = await applyPass(splitActivations, graph, random);
  expect(live).toEqual(['_FusedConv2D', 'Prelu']);
  expect(split.nodes.get('y')?.inputs[1]).toEqual({ node: 'slope', index: 0 });
});

test('split-activations leaves a clamp in the store of its op', async () => {
  const graph = convolution(random)
    .weights('bias', [4])
    .node('y', '_FusedConv2D', ['image', 'filter', 'bias'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', 'Relu6']),
    })
    .build('y');
  expect((await applyPass(splitActivations, graph, random)).changes).toEqual([]);
});
