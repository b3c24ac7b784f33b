import { attr } from '../../src/graph/attrs';
import { splitActivations } from '../../src/passes/split-activations';
import { fusedAttrs, windowAttrs } from '../support/float-graph';
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
