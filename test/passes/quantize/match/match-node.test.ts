// @needs engine
import { attr } from '../../../../src/graph/attrs';
import { inferShapes } from '../../../../src/graph/infer-shapes';
import type { DType } from '../../../../src/graph/ir';
import { matchNode } from '../../../../src/passes/quantize/match/match-node';
import { floatInOutNodes } from '../../../../src/passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../../src/passes/quantize/plan/layers';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { removeDeadNodes } from '../../../../src/passes/remove-dead-nodes';
import { signalToNoise } from '../../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference, fidelity, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

type Build = (graph: FloatGraph) => FloatGraph;

const masks = (shrink = 0, added = 0) => ({
  begin_mask: attr.int(1),
  end_mask: attr.int(1),
  ellipsis_mask: attr.int(0),
  shrink_axis_mask: attr.int(shrink),
  new_axis_mask: attr.int(added),
});

const ints = (name: string, values: number[], shape = [values.length]): Build => {
  return (graph) => graph.constant(name, shape, values, 'int32');
};

const block = { block_size: attr.int(2), data_format: attr.string('NHWC'), T: attr.dtype('float32') };
const resize = (centers: boolean, corners: boolean) => ({
  half_pixel_centers: attr.bool(centers),
  align_corners: attr.bool(corners),
});

/** The op under test reads `a` [-1, 8, 8, 4], a convolution, and is called `op`; a weighted op follows. */
const CASES: [string, Build][] = [
  [
    'Pad of height and width',
    (g) => ints('p', [0, 0, 1, 2, 3, 0, 0, 0], [4, 2])(g).node('op', 'Pad', ['a', 'p']),
  ],
  ['Pad of channels', (g) => ints('p', [0, 0, 0, 0, 0, 0, 2, 3], [4, 2])(g).node('op', 'Pad', ['a', 'p'])],
  [
    'MirrorPad',
    (g) =>
      ints(
        'p',
        [0, 0, 1, 2, 3, 0, 0, 0],
        [4, 2],
      )(g).node('op', 'MirrorPad', ['a', 'p'], {
        mode: attr.string('REFLECT'),
      }),
  ],
  ['Slice', (g) => ints('s', [-1, 5, 6, 2])(ints('b', [0, 1, 2, 1])(g)).node('op', 'Slice', ['a', 'b', 's'])],
  [
    'StridedSlice',
    (g) =>
      ints(
        't',
        [1, 2, 3, 1],
      )(ints('e', [0, 8, -1, 3])(ints('b', [0, 1, 0, 1])(g))).node(
        'op',
        'StridedSlice',
        ['a', 'b', 'e', 't'],
        masks(),
      ),
  ],
  ['Transpose', (g) => ints('o', [0, 3, 1, 2])(g).node('op', 'Transpose', ['a', 'o'])],
  ['DepthToSpace', (g) => g.node('op', 'DepthToSpace', ['a'], block)],
  [
    'ResizeBilinear',
    (g) => ints('s', [16, 12])(g).node('op', 'ResizeBilinear', ['a', 's'], resize(true, false)),
  ],
  [
    'ResizeBilinear with aligned corners',
    (g) => ints('s', [5, 7])(g).node('op', 'ResizeBilinear', ['a', 's'], resize(false, true)),
  ],
  [
    'ResizeNearestNeighbor',
    (g) => ints('s', [16, 12])(g).node('op', 'ResizeNearestNeighbor', ['a', 's'], resize(false, false)),
  ],
  ['Prelu', (g) => g.weights('slope', [1, 1, 4], -0.5, 0.8).node('op', 'Prelu', ['a', 'slope'])],
  ['Prelu of one slope', (g) => g.constant('slope', [1], [0.2]).node('op', 'Prelu', ['a', 'slope'])],
  ['LeakyRelu', (g) => g.node('op', 'LeakyRelu', ['a'], { alpha: attr.float(0.3) })],
  ['Sub', (g) => g.node('op', 'Sub', ['a', 'b0'])],
  ['Maximum', (g) => g.node('op', 'Maximum', ['a', 'b0'])],
  ['Minimum', (g) => g.node('op', 'Minimum', ['a', 'b0'])],
  ['Softmax', (g) => g.node('op', 'Softmax', ['a'])],
  ...['AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum'].map((op): [string, Build] => [
    `${op} with a constant of its own shape`,
    (g) => g.weights('c', [1, 8, 8, 4]).node('op', op, ['a', 'c']),
  ]),
  ['MaxPool', (g) => g.node('op', 'MaxPool', ['a'], windowAttrs({ ksize: 3 }))],
  ['AvgPool', (g) => g.node('op', 'AvgPool', ['a'], windowAttrs({ ksize: 2, strides: 2 }))],
  ['Mean', (g) => ints('axes', [1, 2])(g).node('op', 'Mean', ['a', 'axes'], { keep_dims: attr.bool(true) })],
  ['ConcatV2', (g) => ints('axis', [-1], [])(g).node('op', 'ConcatV2', ['a', 'b0', 'axis'])],
  ['Reshape', (g) => ints('shape', [-1, 4, 16, 4])(g).node('op', 'Reshape', ['a', 'shape'])],
  ['Sub from a constant', (g) => g.weights('c', [8, 1, 4]).node('op', 'Sub', ['c', 'a'])],
];

function around(build: Build): FloatGraph {
  const graph = new FloatGraph(random)
    .input('image', [-1, 8, 8, 4])
    .weights('wa', [3, 3, 4, 4], -0.4, 0.4)
    .weights('wb', [1, 1, 4, 4], -0.6, 0.6)
    .node('a', 'Conv2D', ['image', 'wa'], windowAttrs())
    .node('b0', 'Conv2D', ['image', 'wb'], windowAttrs());
  return build(graph);
}

test.each(CASES)('%s runs in the region of its neighbours', async (_, build) => {
  const probe = around(build).build('op');
  const channels = (await execute(probe, drawFeeds(probe, random)))[0].shape[3];
  const built = around(build)
    .weights('w', [1, 1, channels, 3], -0.5, 0.5)
    .node('after', 'Conv2D', ['op', 'w'], windowAttrs())
    .build('after');
  const { graph } = removeDeadNodes.apply(built);
  const plan = planQuantization(graph);
  expect([...plan.float]).toEqual([]);
  expect(plan.regions).toHaveLength(1);
  const { observations, graph: quantized } = await quantize(graph, random);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(graph, observations, random);
  const feeds = drawFeeds(graph, random);
  const expanded = quantizeGraph(graph, plan, observations, { regions: false }).graph;
  expect(await execute(expanded, feeds)).toEqual(await execute(quantized, feeds));
});

/** The least signal-to-noise of a graph all of which runs on real values. */
const REAL = { int16: 60, dynamic: 30 } as const;

test.each(
  CASES.flatMap(([name, build]) =>
    (['int16', 'dynamic'] as const).map((precision) => [name, precision, build] as const),
  ),
)('%s runs between layers with %s activations', async (_, precision, build) => {
  const probe = around(build).build('op');
  const channels = (await execute(probe, drawFeeds(probe, random)))[0].shape[3];
  const { graph } = removeDeadNodes.apply(
    around(build)
      .weights('w', [1, 1, channels, 3], -0.5, 0.5)
      .node('after', 'Conv2D', ['op', 'w'], windowAttrs())
      .build('after'),
  );
  const { plan, observations, graph: int8 } = await quantize(graph, random);
  const layers = new Map(layersOf(graph, plan).map(({ name }) => [name, precision]));
  const precisions = floatInOutNodes(graph, plan, layers);
  const planned = planQuantization(graph, { precisions });
  expect(planned.precisions.get('after')).toBe(precision);
  await expectReference(graph, observations, random, { precisions });
  const { graph: quantized } = quantizeGraph(graph, planned, observations);
  const feeds = drawFeeds(graph, random);
  const decibels = async (of: typeof graph) =>
    signalToNoise((await execute(graph, feeds))[0].values, (await execute(of, feeds))[0].values);
  const [coarse, fine] = [await decibels(int8), await decibels(quantized)];
  const everything = [...graph.nodes.values()].every(
    ({ name, op }) => op === 'Const' || op === 'Placeholder' || planned.precisions.has(name),
  );
  expect(fine).toBeGreaterThan(everything ? REAL[precision] : coarse - 3);
});

test.each(['Pad of channels', 'Transpose', 'DepthToSpace'])('%s at the end is left to float', (name) => {
  const plan = planQuantization(around(CASES.find(([n]) => n === name)![1]).build('op'));
  expect([...plan.float.keys()]).toContain('op');
});

test('a slice that drops one axis and adds another keeps its batch', async () => {
  const graph = ints(
    't',
    [1, 1, 1],
  )(ints('e', [0, 0, 3])(ints('b', [0, 0, 2])(around((g) => g))))
    .node('op', 'StridedSlice', ['a', 'b', 'e', 't'], masks(4, 2))
    .weights('w', [1, 1, 4, 3], -0.5, 0.5)
    .node('after', 'Conv2D', ['op', 'w'], windowAttrs())
    .build('after');
  const { plan, graph: quantized } = await quantize(graph, random);
  expect(plan.float.size).toBe(0);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
});

test.each([
  [
    'pads with other values',
    (g: FloatGraph) =>
      ints(
        'p',
        [0, 0, 1, 1, 1, 1, 0, 0],
        [4, 2],
      )(g)
        .constant('v', [], [-3])
        .node('op', 'PadV2', ['a', 'p', 'v']),
    'other values',
  ],
  [
    'reverses',
    (g: FloatGraph) =>
      ints(
        't',
        [1, -1],
      )(ints('e', [0, -9])(ints('b', [0, -1])(g))).node('op', 'StridedSlice', ['a', 'b', 'e', 't'], masks()),
    'reverses',
  ],
  [
    'slopes one element at a time',
    (g: FloatGraph) => g.weights('slope', [8, 1, 4]).node('op', 'Prelu', ['a', 'slope']),
    'slope',
  ],
])('what %s stays float, with the reason', (_, build, reason) => {
  const graph = around(build).weights('w', [1, 1, 4, 3]).node('after', 'Conv2D', ['op', 'w'], windowAttrs());
  expect(planQuantization(graph.build('after')).float.get('op')).toContain(reason);
});

test.each<[string, Build, DType, string]>([
  ['the name of an output', (g) => g.node('op', 'Identity', ['a']), 'float32', 'it only names an output'],
  ['integers', (g) => g.node('op', 'Relu', ['a']), 'int32', 'its data is int32'],
  ['an op of no matcher', (g) => g.node('op', 'Round', ['a']), 'float32', 'Round has no quantized form'],
])('%s cannot be quantized', (_, build, type, reason) => {
  const graph = around(build).build('op');
  const facts = { graph, shapes: inferShapes(graph) };
  expect(matchNode(graph.nodes.get('op')!, facts, type)).toBe(reason);
});

test('a mean at the end is stored as real values', async () => {
  const graph = ints(
    'axes',
    [1, 2],
  )(around((g) => g))
    .node('mean', 'Mean', ['a', 'axes'], { keep_dims: attr.bool(false) })
    .build('mean');
  const { graph: quantized } = await quantize(graph, random);
  const [{ values }] = await execute(quantized, drawFeeds(graph, random));
  expect(new Set(values).size).toBe(values.length);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
});
