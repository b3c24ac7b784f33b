import { foldBias } from '../../src/passes/fold-bias';
import { fusedAttrs, windowAttrs } from '../support/float-graph';
import { applyPass, convolution, declined } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('fold-bias', () => {
  test.each(['BiasAdd', 'Add', 'AddV2', 'Sub'])('folds %s of a constant', async (op) => {
    const graph = convolution(random).weights('bias', [4]).node('sum', op, ['conv', 'bias']).build('sum');
    expect((await applyPass(foldBias, graph, random)).live).toEqual(['_FusedConv2D']);
  });

  test('adds to a bias that is there', async () => {
    const graph = convolution(random)
      .weights('bias', [4])
      .weights('more', [1, 1, 4])
      .node('biased', '_FusedConv2D', ['image', 'filter', 'bias'], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd']),
      })
      .node('sum', 'AddV2', ['more', 'biased'])
      .build('sum');
    expect((await applyPass(foldBias, graph, random)).live).toEqual(['_FusedConv2D']);
  });

  test('spreads a scalar over the channels', async () => {
    const graph = convolution(random)
      .constant('one', [], [1])
      .node('sum', 'AddV2', ['conv', 'one'])
      .build('sum');
    const { graph: folded } = await applyPass(foldBias, graph, random);
    expect(folded.constants.get('sum/bias')?.shape).toEqual([4]);
  });

  test('does not fold a constant minus a convolution', async () => {
    const graph = convolution(random)
      .weights('bias', [4])
      .node('difference', 'Sub', ['bias', 'conv'])
      .build('difference');
    expect((await applyPass(foldBias, graph, random)).live).toEqual(['Conv2D', 'Sub']);
  });

  test('declines a constant with more dimensions than the convolution has', async () => {
    const graph = convolution(random)
      .weights('bias', [1, 1, 1, 1, 4])
      .node('sum', 'AddV2', ['conv', 'bias'])
      .build('sum');
    expect(declined(foldBias.apply(graph))).toEqual([expect.stringContaining('one value a channel')]);
  });

  test('leaves the sum of two convolutions alone', async () => {
    const graph = convolution(random)
      .node('other', 'Conv2D', ['image', 'filter'], windowAttrs())
      .node('sum', 'AddV2', ['conv', 'other'])
      .build('sum');
    const result = await applyPass(foldBias, graph, random);
    expect(result.changes).toEqual([]);
  });
});
