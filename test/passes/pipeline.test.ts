import { optimize } from '../../src/passes/pipeline';
import { ops } from '../support/float-graph';
import { applyPass, convolution, withNorm } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('the pipeline', () => {
  test('reduces convolution, bias, batch norm, shift and clamp to one op, whatever their order', async () => {
    const graph = withNorm(
      convolution(random).weights('bias', [4]).node('biased', 'BiasAdd', ['conv', 'bias']),
      'norm',
      'biased',
    )
      .weights('shift', [4])
      .node('shifted', 'AddV2', ['norm', 'shift'])
      .node('identity', 'Identity', ['shifted'])
      .node('clamped', 'Relu6', ['identity'])
      .build('clamped');
    const result = await applyPass({ apply: optimize }, graph, random);
    expect(ops(result.graph)).toEqual(['_FusedConv2D']);
    expect(result.graph.constants.size).toBe(2);
  });

  test('is deterministic and leaves its input as it was', () => {
    const graph = withNorm(convolution(random), 'norm', 'conv').build('norm');
    const names = [...graph.nodes.keys()];
    expect(optimize(graph)).toEqual(optimize(graph));
    expect([...graph.nodes.keys()]).toEqual(names);
  });
});
