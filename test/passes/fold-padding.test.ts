import { attr } from '../../src/graph/attrs';
import { foldPadding } from '../../src/passes/fold-padding';
import { FloatGraph, windowAttrs } from '../support/float-graph';
import { applyPass, declined } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('fold-padding', () => {
  const padded = (kind: string, padding: string, pads = [0, 0, 1, 2, 3, 0, 0, 0]) =>
    new FloatGraph(random)
      .input('image', [-1, 6, 6, 3])
      .weights('filter', [3, 3, 3, kind === 'Conv2D' ? 4 : 1])
      .constant('pads', [4, 2], pads, 'int32')
      .node('pad', 'Pad', ['image', 'pads'])
      .node('conv', kind, ['pad', 'filter'], windowAttrs({ strides: 2, padding }));

  test.each(['Conv2D', 'DepthwiseConv2dNative'])('gives the padding to a following %s', async (kind) => {
    const { live, graph } = await applyPass(foldPadding, padded(kind, 'VALID').build('conv'), random);
    expect(live).toEqual([kind]);
    expect(graph.nodes.get('conv')?.attrs.explicit_paddings).toEqual(attr.ints([0, 0, 1, 2, 3, 0, 0, 0]));
  });

  test('adds to explicit padding that is there', async () => {
    const graph = padded('Conv2D', 'VALID');
    graph.node(
      'conv',
      'Conv2D',
      ['pad', 'filter'],
      windowAttrs({ padding: 'EXPLICIT', pads: [0, 0, 1, 1, 0, 2, 0, 0] }),
    );
    const { graph: folded } = await applyPass(foldPadding, graph.build('conv'), random);
    expect(folded.nodes.get('conv')?.attrs.explicit_paddings).toEqual(attr.ints([0, 0, 2, 3, 3, 2, 0, 0]));
  });

  test('keeps the pad for a reader that cannot take it', async () => {
    const graph = padded('Conv2D', 'VALID').node(
      'pool',
      'MaxPool',
      ['pad'],
      windowAttrs({ padding: 'VALID', ksize: 2 }),
    );
    const result = await applyPass(foldPadding, graph.build('conv', 'pool'), random);
    expect(result.live.sort()).toEqual(['Conv2D', 'MaxPool', 'Pad']);
    expect(declined(result)).toEqual([expect.stringContaining('MaxPool cannot take padding')]);
  });

  test('declines before a SAME convolution, of channels, and with other values than zero', async () => {
    expect(
      declined(await applyPass(foldPadding, padded('Conv2D', 'SAME').build('conv'), random))[0],
    ).toContain('pads by itself');
    const channels = new FloatGraph(random)
      .input('image', [-1, 6, 6, 3])
      .weights('filter', [1, 1, 5, 4])
      .constant('pads', [4, 2], [0, 0, 0, 0, 0, 0, 0, 2], 'int32')
      .node('pad', 'Pad', ['image', 'pads'])
      .node('conv', 'Conv2D', ['pad', 'filter'], windowAttrs({ padding: 'VALID' }));
    expect(declined(await applyPass(foldPadding, channels.build('conv'), random))[0]).toContain(
      'the channels',
    );
    const ones = padded('Conv2D', 'VALID')
      .constant('one', [], [1])
      .node('pad', 'PadV2', ['image', 'pads', 'one']);
    expect(declined(await applyPass(foldPadding, ones.build('conv'), random))[0]).toContain(
      'other values than zero',
    );
  });
});
