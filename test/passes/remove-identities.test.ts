import { removeIdentities } from '../../src/passes/remove-identities';
import { expectSameFunction } from '../support/float-graph';
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

  test.each(['Identity', 'Snapshot', 'StopGradient', 'PreventGradient'])('removes %s', async (op) => {
    const graph = convolution(random)
      .node('same', op, ['conv'])
      .node('relu', 'Relu', ['same'])
      .node('tanh', 'Tanh', ['same'])
      .build('relu', 'tanh');
    const result = removeIdentities.apply(graph);
    expect(result.changes.map((c) => c.detail)).toEqual([`removed ${op}`]);
    for (const name of ['relu', 'tanh']) expect(result.graph.nodes.get(name)?.inputs[0].node).toBe('conv');
    if (op !== 'PreventGradient') await expectSameFunction(graph, result.graph, random);
  });
});
