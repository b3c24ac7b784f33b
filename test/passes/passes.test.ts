import { attr } from '../../src/graph/attrs';
import type { Graph } from '../../src/graph/ir';
import { foldBatchNorm } from '../../src/passes/fold-batch-norm';
import { foldBias } from '../../src/passes/fold-bias';
import { foldConstants } from '../../src/passes/fold-constants';
import { foldPadding } from '../../src/passes/fold-padding';
import { fuseActivations } from '../../src/passes/fuse-activations';
import type { Pass, PassResult } from '../../src/passes/pass';
import { optimize } from '../../src/passes/pipeline';
import { removeDeadNodes } from '../../src/passes/remove-dead-nodes';
import { removeIdentities } from '../../src/passes/remove-identities';
import { splitActivations } from '../../src/passes/split-activations';
import { splitSums } from '../../src/passes/split-sums';
import { expectSameFunction, FloatGraph, fusedAttrs, ops, windowAttrs } from '../support/float-graph';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

/** image [-1, 6, 6, 3] -> conv 3x3 to 4 channels. */
function convolution(): FloatGraph {
  return new FloatGraph(random)
    .input('image', [-1, 6, 6, 3])
    .weights('filter', [3, 3, 3, 4])
    .node('conv', 'Conv2D', ['image', 'filter'], windowAttrs());
}

const normAttrs = { epsilon: attr.float(1e-3), is_training: { b: false } };

function withNorm(graph: FloatGraph, name: string, input: string, channels = 4): FloatGraph {
  return graph
    .weights(`${name}/gamma`, [channels], 0.5, 2)
    .weights(`${name}/beta`, [channels])
    .weights(`${name}/mean`, [channels])
    .weights(`${name}/variance`, [channels], 0.1, 3)
    .node(
      name,
      'FusedBatchNormV3',
      [input, `${name}/gamma`, `${name}/beta`, `${name}/mean`, `${name}/variance`],
      normAttrs,
    );
}

/** Runs a pass, and expects the function that the graph computes to be the same. */
async function apply(pass: Pick<Pass, 'apply'>, graph: Graph): Promise<PassResult & { live: string[] }> {
  const result = pass.apply(graph);
  await expectSameFunction(graph, result.graph, random);
  return { ...result, live: ops(removeDeadNodes.apply(result.graph).graph) };
}

const declined = ({ changes }: PassResult) =>
  changes.filter((c) => c.action === 'declined').map((c) => c.detail);

describe('fold-batch-norm', () => {
  test('folds a batch norm into a convolution', async () => {
    const { live, graph } = await apply(foldBatchNorm, withNorm(convolution(), 'norm', 'conv').build('norm'));
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
      const { live } = await apply(
        foldBatchNorm,
        withNorm(graph, 'norm', 'conv', 3 * multiplier).build('norm'),
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
      const { live } = await apply(foldBatchNorm, graph);
      expect(live).toEqual(['MatMul']);
    },
  );

  test.each([[[] as number[]], [[1]], [[1, 1, 1, 4]]])(
    'folds a product with a constant of shape %p',
    async (shape) => {
      const graph = convolution()
        .weights('scale', shape)
        .node('scaled', 'Mul', ['conv', 'scale'])
        .build('scaled');
      expect((await apply(foldBatchNorm, graph)).live).toEqual(['Conv2D']);
    },
  );

  test('folds a division by a constant, and not of a constant', async () => {
    const divided = convolution()
      .weights('d', [4], 1, 2)
      .node('quotient', 'RealDiv', ['conv', 'd'])
      .build('quotient');
    expect((await apply(foldBatchNorm, divided)).live).toEqual(['Conv2D']);
    const inverse = convolution()
      .weights('d', [4], 1, 2)
      .node('quotient', 'RealDiv', ['d', 'conv'])
      .build('quotient');
    expect(foldBatchNorm.apply(inverse).graph.nodes.get('quotient')?.op).toBe('RealDiv');
  });

  test('declines a constant that is not one value a channel', async () => {
    const graph = convolution()
      .weights('map', [1, 6, 6, 1])
      .node('scaled', 'Mul', ['conv', 'map'])
      .build('scaled');
    const result = await apply(foldBatchNorm, graph);
    expect(result.live).toEqual(['Conv2D', 'Mul']);
    expect(declined(result)).toEqual([expect.stringContaining('not constant vectors')]);
  });

  test('declines when the convolution has another consumer', async () => {
    const graph = withNorm(convolution(), 'norm', 'conv')
      .node('relu', 'Relu', ['conv'])
      .build('norm', 'relu');
    const result = await apply(foldBatchNorm, graph);
    expect(result.live).toContain('FusedBatchNormV3');
    expect(declined(result)).toEqual([expect.stringContaining('another consumer')]);
  });

  test('declines when the convolution is an output', async () => {
    const result = await apply(foldBatchNorm, withNorm(convolution(), 'norm', 'conv').build('norm', 'conv'));
    expect(declined(result)).toEqual([expect.stringContaining('is an output')]);
  });

  test('folds a batch norm that has two consumers itself', async () => {
    const graph = withNorm(convolution(), 'norm', 'conv')
      .node('relu', 'Relu', ['norm'])
      .node('tanh', 'Tanh', ['norm'])
      .build('relu', 'tanh');
    expect((await apply(foldBatchNorm, graph)).live.sort()).toEqual(['Relu', 'Tanh', '_FusedConv2D']);
  });

  test('leaves weights that another convolution shares as they were', async () => {
    const graph = withNorm(convolution(), 'norm', 'conv')
      .node('other', 'Conv2D', ['image', 'filter'], windowAttrs())
      .build('norm', 'other');
    const result = await apply(foldBatchNorm, graph);
    expect(result.graph.constants.get('filter')).toBe(graph.constants.get('filter'));
    expect(result.live.sort()).toEqual(['Conv2D', '_FusedConv2D']);
  });

  test('declines behind a clamp', async () => {
    const graph = convolution()
      .weights('bias', [4])
      .node('clamped', '_FusedConv2D', ['image', 'filter', 'bias'], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd', 'Relu']),
      });
    const result = await apply(foldBatchNorm, withNorm(graph, 'norm', 'clamped').build('norm'));
    expect(declined(result)).toEqual([expect.stringContaining('applies Relu first')]);
  });

  test('declines when the statistics are read, or of the training kind', () => {
    const statistics = withNorm(convolution(), 'norm', 'conv')
      .node('mean', 'Identity', ['norm:1'])
      .build('norm', 'mean');
    expect(declined(foldBatchNorm.apply(statistics))).toEqual([
      expect.stringContaining('statistics are read'),
    ]);
    const training = withNorm(convolution(), 'norm', 'conv');
    const inputs = ['conv', 'norm/gamma', 'norm/beta', 'norm/mean', 'norm/variance'];
    training.node('norm', 'FusedBatchNormV3', inputs, { ...normAttrs, is_training: { b: true } });
    expect(declined(foldBatchNorm.apply(training.build('norm')))).toEqual([
      expect.stringContaining('not constant'),
    ]);
  });

  test('declines when the folded weights would not be finite', () => {
    const graph = convolution()
      .constant('huge', [], [3e38])
      .constant('filter', [3, 3, 3, 4], new Array(108).fill(9));
    const result = foldBatchNorm.apply(graph.node('scaled', 'Mul', ['conv', 'huge']).build('scaled'));
    expect(declined(result)).toEqual([expect.stringContaining('not be finite')]);
  });
});

describe('fold-bias', () => {
  test.each(['BiasAdd', 'Add', 'AddV2', 'Sub'])('folds %s of a constant', async (op) => {
    const graph = convolution().weights('bias', [4]).node('sum', op, ['conv', 'bias']).build('sum');
    expect((await apply(foldBias, graph)).live).toEqual(['_FusedConv2D']);
  });

  test('adds to a bias that is there', async () => {
    const graph = convolution()
      .weights('bias', [4])
      .weights('more', [1, 1, 4])
      .node('biased', '_FusedConv2D', ['image', 'filter', 'bias'], {
        ...windowAttrs(),
        ...fusedAttrs(['BiasAdd']),
      })
      .node('sum', 'AddV2', ['more', 'biased'])
      .build('sum');
    expect((await apply(foldBias, graph)).live).toEqual(['_FusedConv2D']);
  });

  test('spreads a scalar over the channels', async () => {
    const graph = convolution().constant('one', [], [1]).node('sum', 'AddV2', ['conv', 'one']).build('sum');
    const { graph: folded } = await apply(foldBias, graph);
    expect(folded.constants.get('sum/bias')?.shape).toEqual([4]);
  });

  test('does not fold a constant minus a convolution', async () => {
    const graph = convolution()
      .weights('bias', [4])
      .node('difference', 'Sub', ['bias', 'conv'])
      .build('difference');
    expect((await apply(foldBias, graph)).live).toEqual(['Conv2D', 'Sub']);
  });

  test('declines a constant with more dimensions than the convolution has', async () => {
    const graph = convolution()
      .weights('bias', [1, 1, 1, 1, 4])
      .node('sum', 'AddV2', ['conv', 'bias'])
      .build('sum');
    expect(declined(foldBias.apply(graph))).toEqual([expect.stringContaining('one value a channel')]);
  });

  test('leaves the sum of two convolutions alone', async () => {
    const graph = convolution()
      .node('other', 'Conv2D', ['image', 'filter'], windowAttrs())
      .node('sum', 'AddV2', ['conv', 'other'])
      .build('sum');
    const result = await apply(foldBias, graph);
    expect(result.changes).toEqual([]);
  });
});

describe('split-sums', () => {
  const sums = () =>
    convolution().weights('other', [3, 3, 3, 4]).node('y', 'Conv2D', ['image', 'other'], windowAttrs());

  test('adds many tensors two at a time', async () => {
    const graph = sums().node('relu', 'Relu', ['y']).node('sum', 'AddN', ['conv', 'y', 'relu']);
    const { live, graph: split } = await apply(splitSums, graph.build('sum'));
    expect(live.sort()).toEqual(['AddV2', 'AddV2', 'Conv2D', 'Conv2D', 'Relu']);
    expect(split.nodes.get('sum')?.op).toBe('AddV2');
  });

  test('gives the constant of a sum to a linear op in it', async () => {
    const graph = sums()
      .node('relu', 'Relu', ['y'])
      .node('sum', 'AddN', ['relu', 'conv'])
      .weights('shift', [4])
      .node('shifted', 'AddV2', ['shift', 'sum'])
      .build('shifted');
    const { graph: optimized } = await apply({ apply: optimize }, graph);
    expect(ops(optimized).sort()).toEqual(['AddV2', '_FusedConv2D', '_FusedConv2D']);
  });

  test('leaves a constant that differs along the height, and a sum that is read elsewhere', async () => {
    const high = sums().node('sum', 'AddV2', ['conv', 'y']).weights('shift', [6, 1, 1]);
    const untouched = await apply(
      splitSums,
      high.node('shifted', 'AddV2', ['sum', 'shift']).build('shifted'),
    );
    expect(untouched.changes).toEqual([]);
    const read = sums().node('sum', 'AddV2', ['conv', 'y']).weights('shift', [4]);
    const twice = read.node('shifted', 'AddV2', ['sum', 'shift']).node('relu', 'Relu', ['sum']);
    expect((await apply(splitSums, twice.build('shifted', 'relu'))).changes).toEqual([]);
  });
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
    const { live, graph } = await apply(foldPadding, padded(kind, 'VALID').build('conv'));
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
    const { graph: folded } = await apply(foldPadding, graph.build('conv'));
    expect(folded.nodes.get('conv')?.attrs.explicit_paddings).toEqual(attr.ints([0, 0, 2, 3, 3, 2, 0, 0]));
  });

  test('keeps the pad for a reader that cannot take it', async () => {
    const graph = padded('Conv2D', 'VALID').node(
      'pool',
      'MaxPool',
      ['pad'],
      windowAttrs({ padding: 'VALID', ksize: 2 }),
    );
    const result = await apply(foldPadding, graph.build('conv', 'pool'));
    expect(result.live.sort()).toEqual(['Conv2D', 'MaxPool', 'Pad']);
    expect(declined(result)).toEqual([expect.stringContaining('MaxPool cannot take padding')]);
  });

  test('declines before a SAME convolution, of channels, and with other values than zero', async () => {
    expect(declined(await apply(foldPadding, padded('Conv2D', 'SAME').build('conv')))[0]).toContain(
      'pads by itself',
    );
    const channels = new FloatGraph(random)
      .input('image', [-1, 6, 6, 3])
      .weights('filter', [1, 1, 5, 4])
      .constant('pads', [4, 2], [0, 0, 0, 0, 0, 0, 0, 2], 'int32')
      .node('pad', 'Pad', ['image', 'pads'])
      .node('conv', 'Conv2D', ['pad', 'filter'], windowAttrs({ padding: 'VALID' }));
    expect(declined(await apply(foldPadding, channels.build('conv')))[0]).toContain('the channels');
    const ones = padded('Conv2D', 'VALID')
      .constant('one', [], [1])
      .node('pad', 'PadV2', ['image', 'pads', 'one']);
    expect(declined(await apply(foldPadding, ones.build('conv')))[0]).toContain('other values than zero');
  });
});

describe('fuse-activations', () => {
  test.each(['Relu', 'Relu6'])('fuses %s into a convolution without a bias', async (op) => {
    const graph = convolution().node('clamped', op, ['conv']).build('clamped');
    expect((await apply(fuseActivations, graph)).live).toEqual(['_FusedConv2D']);
  });

  test('takes a clip to [0, 6] for Relu6, and no other clip', async () => {
    const clip = (max: number) =>
      convolution()
        .constant('min', [], [0])
        .constant('max', [], [max])
        .node('clipped', 'ClipByValue', ['conv', 'min', 'max'])
        .build('clipped');
    expect((await apply(fuseActivations, clip(6))).live).toEqual(['_FusedConv2D']);
    expect((await apply(fuseActivations, clip(5))).live).toEqual(['Conv2D', 'ClipByValue']);
  });

  test('declines when the convolution is read elsewhere', async () => {
    const graph = convolution()
      .node('clamped', 'Relu', ['conv'])
      .node('sum', 'AddV2', ['conv', 'clamped'])
      .build('sum');
    const result = await apply(fuseActivations, graph);
    expect(declined(result)).toEqual([expect.stringContaining('another consumer')]);
  });
});

describe('fold-constants', () => {
  test('computes the arithmetic of a written-out batch norm', async () => {
    const graph = convolution()
      .weights('variance', [4], 0.5, 2)
      .constant('epsilon', [], [1e-3])
      .weights('gamma', [4])
      .node('sum', 'AddV2', ['variance', 'epsilon'])
      .node('inverse', 'Rsqrt', ['sum'])
      .node('scale', 'Mul', ['inverse', 'gamma'])
      .node('scaled', 'Mul', ['conv', 'scale'])
      .build('scaled');
    expect((await apply(foldConstants, graph)).live).toEqual(['Conv2D', 'Mul']);
  });

  test('transposes, reshapes and expands constants', async () => {
    const graph = new FloatGraph(random)
      .input('x', [2, 3])
      .weights('w', [3, 4])
      .constant('order', [2], [1, 0], 'int32')
      .constant('shape', [2], [-1, 3], 'int32')
      .constant('axis', [], [0], 'int32')
      .node('transposed', 'Transpose', ['w', 'order'])
      .node('reshaped', 'Reshape', ['transposed', 'shape'])
      .node('expanded', 'ExpandDims', ['reshaped', 'axis'])
      .node('squeezed', 'Squeeze', ['expanded'], { squeeze_dims: attr.ints([0]) })
      .node('y', 'MatMul', ['x', 'squeezed'], { transpose_b: { b: true } })
      .build('y');
    expect((await apply(foldConstants, graph)).live).toEqual(['MatMul']);
  });

  test('keeps an output, and a broadcast that would grow', () => {
    const graph = new FloatGraph(random)
      .input('x', [1])
      .weights('column', [1000, 1])
      .weights('row', [1, 1000])
      .node('table', 'Mul', ['column', 'row'])
      .node('double', 'AddV2', ['row', 'row'])
      .build('table', 'double');
    expect(ops(foldConstants.apply(graph).graph)).toEqual(['Mul', 'AddV2']);
  });
});

describe('remove-identities and remove-dead-nodes', () => {
  test('keep the node that an output is named after', async () => {
    const graph = convolution()
      .node('middle', 'Identity', ['conv'])
      .node('stop', 'StopGradient', ['middle'])
      .node('named', 'Identity', ['stop'])
      .build('named');
    const result = await apply(removeIdentities, graph);
    expect(result.live).toEqual(['Conv2D', 'Identity']);
    expect(result.graph.nodes.get('named')?.inputs[0].node).toBe('conv');
  });

  test('drop a dead branch, and keep an input that nobody reads', async () => {
    const graph = convolution().input('unused', [1]).node('dead', 'Relu', ['conv']).build('conv');
    const { graph: live } = removeDeadNodes.apply(graph);
    expect(ops(live)).toEqual(['Conv2D']);
    expect(live.nodes.has('unused')).toBe(true);
  });
});

test('split-activations separates a fused function that needs a table', async () => {
  const graph = convolution()
    .weights('bias', [4])
    .node('y', '_FusedConv2D', ['image', 'filter', 'bias'], {
      ...windowAttrs(),
      ...fusedAttrs(['BiasAdd', 'LeakyRelu']),
      leakyrelu_alpha: attr.float(0.3),
    })
    .build('y');
  expect((await apply(splitActivations, graph)).live).toEqual(['_FusedConv2D', 'LeakyRelu']);
});

describe('the pipeline', () => {
  test('reduces convolution, bias, batch norm, shift and clamp to one op, whatever their order', async () => {
    const graph = withNorm(
      convolution().weights('bias', [4]).node('biased', 'BiasAdd', ['conv', 'bias']),
      'norm',
      'biased',
    )
      .weights('shift', [4])
      .node('shifted', 'AddV2', ['norm', 'shift'])
      .node('identity', 'Identity', ['shifted'])
      .node('clamped', 'Relu6', ['identity'])
      .build('clamped');
    const result = await apply({ apply: optimize }, graph);
    expect(ops(result.graph)).toEqual(['_FusedConv2D']);
    expect(result.graph.constants.size).toBe(2);
  });

  test('is deterministic and leaves its input as it was', () => {
    const graph = withNorm(convolution(), 'norm', 'conv').build('norm');
    const names = [...graph.nodes.keys()];
    expect(optimize(graph)).toEqual(optimize(graph));
    expect([...graph.nodes.keys()]).toEqual(names);
  });
});
