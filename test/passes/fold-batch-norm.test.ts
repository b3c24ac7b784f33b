import { foldBatchNorm } from '../../src/passes/fold-batch-norm';
import { FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { applyPass, convolution, declined, normAttrs, withNorm } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('fold-batch-norm', () => {
  test('folds a batch norm into a convolution', async () => {
    const { live, graph } = await applyPass(
      foldBatchNorm,
      withNorm(convolution(random), 'norm', 'conv').build('norm'),
      random,
    );
    expect(live).toEqual(['_FusedConv2D']);
    expect(graph.nodes.get('norm')?.op).toBe('_FusedConv2D');
  });

  test.each([1, 2])(
    'folds into a depthwise convolution of multiplier %d, channel by channel',
    async (multiplier) => {
      const graph = new FloatGraph(random)
        .input('image', [-1, 6, 6, 3])
        .weights('filter', [3, 3, 3, multiplier])
        .node('conv', 'DepthwiseConv2dNative', ['image', 'filter'], windowAttrs({ strides: 2 }));
      const { live } = await applyPass(
        foldBatchNorm,
        withNorm(graph, 'norm', 'conv', 3 * multiplier).build('norm'),
        random,
      );
      expect(live).toEqual(['FusedDepthwiseConv2dNative']);
    },
  );

  test.each([false, true])(
    'folds a product with a constant into a matrix product (transposed: %p)',
    async (transpose) => {
      const graph = new FloatGraph(random)
        .input('x', [-1, 5])
        .weights('w', transpose ? [4, 5] : [5, 4])
        .weights('scale', [4])
        .node('product', 'MatMul', ['x', 'w'], { transpose_b: { b: transpose } })
        .node('scaled', 'Mul', ['scale', 'product'])
        .build('scaled');
      const { live } = await applyPass(foldBatchNorm, graph, random);
      expect(live).toEqual(['MatMul']);
    },
  );

  test.each([[[] as number[]], [[1]], [[1, 1, 1, 4]]])(
    'folds a product with a constant of shape %p',
    async (shape) => {
      const graph = convolution(random)
        .weights('scale', shape)
        .node('scaled', 'Mul', ['conv', 'scale'])
        .build('scaled');
      expect((await applyPass(foldBatchNorm, graph, random)).live).toEqual(['Conv2D']);
    },
  );

  test('folds a division by a constant, and not of a constant', async () => {
    const divided = convolution(random)
      .weights('d', [4], 1, 2)
      .node('quotient', 'RealDiv', ['conv', 'd'])
      .build('quotient');
    expect((await applyPass(foldBatchNorm, divided, random)).live).toEqual(['Conv2D']);
    const inverse = convolution(random)
      .weights('d', [4], 1, 2)
      .node('quotient', 'RealDiv', ['d', 'conv'])
      .build('quotient');
    expect(foldBatchNorm.apply(inverse).graph.nodes.get('quotient')?.op).toBe('RealDiv');
  });

  test('declines a constant that is not one value a channel', async () => {
    const graph = convolution(random)
      .weights('map', [1, 6, 6, 1])
      .node('scaled', 'Mul', ['conv', 'map'])
      .build('scaled');
    const result = await applyPass(foldBatchNorm, graph, random);
    expect(result.live).toEqual(['Conv2D', 'Mul']);
    expect(declined(result)).toEqual([expect.stringContaining('not constant vectors')]);
  });

  test('declines when the convolution has another consumer', async () => {
    const graph = withNorm(convolution(random), 'norm', 'conv')
      .node('relu', 'Relu', ['conv'])
      .build('norm', 'relu');
    const result = await applyPass(foldBatchNorm, graph, random);
    expect(result.live).toContain('FusedBatchNormV3');
    expect(declined(result)).toEqual([expect.stringContaining('another consumer')]);
  });

  test('declines when the convolution is an output', async () => {
    const result = await applyPass(
      foldBatchNorm,
      withNorm(convolution(random), 'norm', 'conv').build('norm', 'conv'),
      random,
    );
    expect(declined(result)).toEqual([expect.stringContaining('is an output')]);
  });

  test('folds a batch norm that has two consumers itself', async () => {
    const graph = withNorm(convolution(random), 'norm', 'conv')
      .node('relu', 'Relu', ['norm'])
      .node('tanh', 'Tanh', ['norm'])
      .build('relu', 'tanh');
    expect((await applyPass(foldBatchNorm, graph, random)).live.sort()).toEqual([
      'Relu',
      'Tanh',
      '_FusedConv2D',
    ]);
  });

  test('leaves weights that another convolution shares as they were', async () => {
    const graph = withNorm(convolution(random), 'norm', 'conv')
      .node('other', 'Conv2D', ['image', 'filter'], windowAttrs())
      .build('norm', 'other');
    const result = await applyPass(foldBatchNorm, graph, random);
    expect(result.graph.constants.get('filter')).toBe(graph.constants.get('filter'));
    expect(result.live.sort()).toEqual(['Conv2D', '_FusedConv2D']);
  });

  test('declines behind a clamp', async () => {
    const graph = convolution(random)
      .weights('bias', [4])
      .node('clamped', '_FusedConv2D', ['image', 'filter', 'bias'], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd', 'Relu']),
      });
    const result = await applyPass(foldBatchNorm, withNorm(graph, 'norm', 'clamped').build('norm'), random);
    expect(declined(result)).toEqual([expect.stringContaining('applies Relu first')]);
  });

  test('declines when the statistics are read, or of the training kind', () => {
    const statistics = withNorm(convolution(random), 'norm', 'conv')
      .node('mean', 'Identity', ['norm:1'])
      .build('norm', 'mean');
    expect(declined(foldBatchNorm.apply(statistics))).toEqual([
      expect.stringContaining('statistics are read'),
    ]);
    const training = withNorm(convolution(random), 'norm', 'conv');
    const inputs = ['conv', 'norm/gamma', 'norm/beta', 'norm/mean', 'norm/variance'];
    training.node('norm', 'FusedBatchNormV3', inputs, { ...normAttrs, is_training: { b: true } });
    expect(declined(foldBatchNorm.apply(training.build('norm')))).toEqual([
      expect.stringContaining('not constant'),
    ]);
  });

  test('declines when the folded weights would not be finite', () => {
    const graph = convolution(random)
      .constant('huge', [], [3e38])
      .constant('filter', [3, 3, 3, 4], new Array(108).fill(9));
    const result = foldBatchNorm.apply(graph.node('scaled', 'Mul', ['conv', 'huge']).build('scaled'));
    expect(declined(result)).toEqual([expect.stringContaining('not be finite')]);
  });
});
