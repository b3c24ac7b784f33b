import { removeIdentities } from '../../src/passes/remove-identities';
import { applyPass, convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('remove-identities', () => {
  test('keeps the node that an output is named after', async () => {
    const graph = convolution(random)
      .node('middle', 'Identity', ['conv'])
      .node('stop', 'StopGradient', ['middle'])
      .node('named', 'Identity', ['stop'])
      .build('named');
    const result = await applyPass(removeIdentities, graph, random);
    expect(result.live).toEqual(['Conv2D', 'Identity']);
    expect(result.graph.nodes.get('named')?.inputs[0].node).toBe('conv');
  });
});
