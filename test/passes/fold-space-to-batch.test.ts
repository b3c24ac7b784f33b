// @needs engine
import { attr } from '../../src/graph/attrs';
import { foldSpaceToBatch } from '../../src/passes/fold-space-to-batch';
import { optimize } from '../../src/passes/pipeline';
import { FloatGraph, fusedAttrs, ops, windowAttrs } from '../support/float-graph';
import { applyPass, declined } from '../support/pass-checks';
import { fidelity, quantize } from '../support/quantize';
import { forEachCase, type Random, randomOf } from '../support/random';

const VALID = windowAttrs({ padding: 'VALID' });

interface Dilated {
  readonly block?: readonly number[];
  readonly pads?: readonly number[];
  readonly crops?: readonly number[];
  readonly op?: string;
}

/** image [2, 8, 8, 4] -> SpaceToBatchND -> 3x3 -> BatchToSpaceND `end` */
function dilated(random: Random, options: Dilated = {}): FloatGraph {
  const { block = [2, 2], pads = [2, 2, 2, 2], crops = [0, 0, 0, 0], op = 'Conv2D' } = options;
  return new FloatGraph(random)
    .input('image', [2, 8, 8, 4])
    .weights('w', [3, 3, 4, op === 'Conv2D' ? 4 : 1], -0.4, 0.4)
    .weights('b', [4])
    .constant('block', [2], block, 'int32')
    .constant('pads', [2, 2], pads, 'int32')
    .constant('crops', [2, 2], crops, 'int32')
    .node('grouped', 'SpaceToBatchND', ['image', 'block', 'pads'])
    .node('conv', op, ['grouped', 'w'], VALID)
    .node('end', 'BatchToSpaceND', ['conv', 'block', 'crops']);
}

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

test.each(['Conv2D', 'DepthwiseConv2dNative'])('%s of every d-th pixel is dilated', async (op) => {
  await forEachCase(`dilated ${op}`, 20, async (each) => {
    const block = [each.int(1, 4), each.int(1, 4)];
    const crops = [each.int(0, 1), each.int(0, 2), each.int(0, 1), each.int(0, 1)];
    // What is padded makes the size a multiple of the block.
    const pads = [0, 1].flatMap((axis) => {
      const before = crops[2 * axis] + each.int(0, 2);
      let after = crops[2 * axis + 1] + 2 * block[axis];
      while ((8 + before + after) % block[axis] !== 0) after++;
      return [before, after];
    });
    const { live } = await applyPass(
      foldSpaceToBatch,
      dilated(each, { block, pads, crops, op }).build('end'),
      each,
    );
    expect(live).toEqual([op]);
  });
});

test('a convolution along one axis between ExpandDims and Squeeze', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 13, 4])
    .weights('w', [1, 2, 4, 4])
    .constant('block', [1], [4], 'int32')
    .constant('pads', [1, 2], [4, 3], 'int32')
    .constant('crops', [1, 2], [0, 3], 'int32')
    .constant('axis', [], [1], 'int32')
    .node('grouped', 'SpaceToBatchND', ['x', 'block', 'pads'])
    .node('expanded', 'ExpandDims', ['grouped', 'axis'])
    .node('conv', 'Conv2D', ['expanded', 'w'], VALID)
    .node('squeezed', 'Squeeze', ['conv'], { squeeze_dims: attr.ints([1]) })
    .node('end', 'BatchToSpaceND', ['squeezed', 'block', 'crops'])
    .build('end');
  const { live } = await applyPass(foldSpaceToBatch, graph, random);
  expect(live).toEqual(['ExpandDims', 'Conv2D', 'Squeeze']);
});

test('with a bias and a rectifier it is one layer, and quantized', async () => {
  const graph = dilated(random)
    .node('biased', 'BiasAdd', ['end', 'b'])
    .node('relu', 'Relu', ['biased'])
    .weights('v', [1, 1, 4, 4])
    .node('last', 'Conv2D', ['relu', 'v'], windowAttrs())
    .build('last');
  const { graph: optimized } = optimize(graph);
  expect(ops(optimized)).toEqual(['_FusedConv2D', 'Conv2D']);
  const { graph: quantized, plan } = await quantize(optimized, random);
  expect(plan.float.size).toBe(0);
  expect((await fidelity(graph, quantized, random))[0]).toBeGreaterThan(25);
});

test('a fused bias and activation in between stay', async () => {
  const graph = dilated(random);
  graph.node('conv', '_FusedConv2D', ['grouped', 'w', 'b'], { ...VALID, ...fusedAttrs(['BiasAdd', 'Relu']) });
  const { live } = await applyPass(foldSpaceToBatch, graph.build('end'), random);
  expect(live).toEqual(['_FusedConv2D']);
});

test.each<[string, (random: Random) => FloatGraph, string]>([
  [
    'crops more than it pads',
    (r) => dilated(r, { pads: [0, 4, 2, 2], crops: [1, 0, 0, 0] }),
    'it crops more than it pads',
  ],
  [
    'has another reader in between',
    (r) => dilated(r).node('other', 'Relu', ['conv']).node('out', 'Max', ['other', 'block']),
    'no convolution is before it, alone',
  ],
])('declines what %s', async (_, build, reason) => {
  const graph = build(random);
  const result = foldSpaceToBatch.apply(graph.build('end'));
  expect(declined(result)).toEqual([`not folded: ${reason}`]);
});
