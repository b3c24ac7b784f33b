// @needs engine
import { attr } from '../../../../src/graph/attrs';
import type { Graph } from '../../../../src/graph/ir';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { floatInOutNodes } from '../../../../src/passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../../src/passes/quantize/plan/layers';
import { floatAnyway, planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { FloatFunctionKind, type Op, OpKind } from '../../../../src/program/program';
import { signalToNoise } from '../../../../src/quantization/metrics';
import { drawFeeds, execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

type Build = (graph: FloatGraph) => FloatGraph;

/** A 1x1 convolution of 4 channels, `x`, then what is under test. */
function behindConv(build: Build): FloatGraph {
  return build(
    new FloatGraph(random)
      .input('image', [-1, 6, 6, 4])
      .weights('w', [1, 1, 4, 4], -3, 3)
      .node('x', 'Conv2D', ['image', 'w'], windowAttrs()),
  );
}

/** Another one reads `result`, and is the model's output `end`. */
const thenConv =
  (build: Build, result: string): Build =>
  (graph) =>
    build(graph).weights('v', [1, 1, 4, 4], -1, 1).node('end', 'Conv2D', [result, 'v'], windowAttrs());

const scalar =
  (name: string, value: number): Build =>
  (graph) =>
    graph.constant(name, [], [value]);

const shifted: Build = (graph) =>
  scalar('three', 3)(graph).node('sum', 'AddV2', ['x', 'three']).node('gate', 'Relu6', ['sum']);
const sixth = scalar('sixth', 1 / 6);

/** Everything on int16, the program of its one region, and how near the result is to the float one, in dB. */
async function convert(graph: Graph) {
  const { plan, observations } = await quantize(graph, random);
  const layers = new Map(layersOf(graph, plan).map(({ name }) => [name, 'int16' as const]));
  const options = { float: floatAnyway(plan), precisions: floatInOutNodes(graph, plan, layers) };
  const wide = planQuantization(graph, options);
  expect(wide.regions).toHaveLength(1);
  await expectReference(graph, observations, random, options);
  const quantized = quantizeGraph(graph, wide, observations).graph;
  const feeds = drawFeeds(graph, random);
  const [expected, received] = [await execute(graph, feeds), await execute(quantized, feeds)];
  return {
    wide,
    ops: lowerRegion(wide.regions[0], wide, observations).build().ops,
    decibels: expected.map(({ values }, i) => signalToNoise(values, received[i].values)),
  };
}

/** The ops between the two convolutions. */
const kinds = (ops: readonly Op[]) =>
  ops
    .filter(({ kind }) => kind !== OpKind.QuantizeInt16)
    .slice(1, -1)
    .map(({ kind }) => OpKind[kind]);

test.each<[string, Build, string[]]>([
  [
    'hard-swish, divided last',
    (g) =>
      scalar(
        'six',
        6,
      )(shifted(g))
        .node('product', 'Mul', ['x', 'gate'])
        .node('y', 'RealDiv', ['product', 'six']),
    ['FloatGate'],
  ],
  [
    'hard-swish, the gate made first',
    (g) => sixth(shifted(g)).node('part', 'Mul', ['gate', 'sixth']).node('y', 'Mul', ['x', 'part']),
    ['FloatGate'],
  ],
  [
    'hard-swish, the number divided first',
    (g) => sixth(shifted(g)).node('part', 'Mul', ['sixth', 'x']).node('y', 'Mul', ['part', 'gate']),
    ['FloatGate'],
  ],
  ['hard sigmoid', (g) => sixth(shifted(g)).node('y', 'Mul', ['gate', 'sixth']), ['FloatAffine']],
  ['swish', (g) => g.node('s', 'Sigmoid', ['x']).node('y', 'Mul', ['s', 'x']), ['FloatFunction']],
  [
    'an unknown function of known ones',
    (g) =>
      scalar(
        'two',
        2,
      )(g)
        .node('double', 'Mul', ['x', 'two'])
        .node('s', 'Sigmoid', ['double'])
        .node('y', 'Mul', ['s', 'double']),
    ['FloatAffine', 'FloatFunction'],
  ],
  ['a rectifier', (g) => g.node('y', 'Relu', ['x']), []],
  [
    'several clamps',
    (g) => scalar('low', 0.5)(g).node('r', 'Relu6', ['x']).node('y', 'Maximum', ['r', 'low']),
    [],
  ],
  ['a clamp of a sum', (g) => g.node('sum', 'AddV2', ['x', 'image']).node('y', 'Relu6', ['sum']), ['Add']],
])('%s between layers with int16 activations', async (_, build, expected) => {
  const { ops, decibels } = await convert(behindConv(thenConv(build, 'y')).build('end'));
  expect(kinds(ops)).toEqual(expected);
  expect(decibels[0]).toBeGreaterThan(60);
});

test('what a chain passes through stays where something else reads it', async () => {
  const build = thenConv(
    (g) => g.node('r', 'Relu', ['x']).node('s', 'Sigmoid', ['r']).node('y', 'Mul', ['r', 's']),
    'y',
  );
  const one = await convert(behindConv(build).build('end'));
  expect(kinds(one.ops)).toEqual(['FloatFunction']);
  const read = await convert(
    behindConv((g) => build(g).node('sum', 'AddV2', ['x', 'r'])).build('end', 'sum'),
  );
  expect(read.ops.map(({ name, kind }) => [name, OpKind[kind]])).toEqual(
    expect.arrayContaining([
      ['x', 'Conv2D'],
      ['r', 'FloatAffine'],
      ['y', 'FloatFunction'],
      ['sum', 'Add'],
    ]),
  );
  for (const decibels of [...one.decibels, ...read.decibels]) expect(decibels).toBeGreaterThan(60);
});

test('the nodes of a layer are all of its chain', async () => {
  const build = thenConv((g) => shifted(g).node('y', 'Mul', ['x', 'gate']), 'y');
  const graph = behindConv(build).node('r', 'Relu', ['end']).build('r');
  const { wide } = await convert(graph);
  const nodes = layersOf(graph, wide).map((layer) => [layer.name, [...layer.nodes].sort()]);
  expect(nodes).toEqual([
    ['x', ['x']],
    ['y', ['gate', 'sum', 'y']],
    ['end', ['end', 'r']],
  ]);
});

test('a clamp is an op of its own where what it clamps leaves the region', async () => {
  const build = thenConv((g) => g.node('y', 'Relu', ['x']), 'y');
  const { ops, decibels } = await convert(behindConv(build).build('end', 'x'));
  expect(kinds(ops)).toEqual(['FloatAffine']);
  for (const value of decibels) expect(value).toBeGreaterThan(60);
});

describe('at the end of a region', () => {
  const end: Build = (g) =>
    g
      .node('moved', 'DepthToSpace', ['x'], { block_size: attr.int(2), data_format: attr.string('NHWC') })
      .node('y', 'Sigmoid', ['moved']);

  test('what reads only real values stays in it', async () => {
    const { wide, ops, decibels } = await convert(behindConv(end).build('y'));
    expect(wide.float.size).toBe(0);
    expect([...wide.precisions.keys()]).toEqual(['x', 'moved', 'y']);
    expect(ops.slice(-2)).toMatchObject([
      { kind: OpKind.DepthToSpace },
      { kind: OpKind.FloatFunction, function: FloatFunctionKind.Sigmoid },
    ]);
    expect(decibels[0]).toBeGreaterThan(60);
  });

  test('it is left to float after INT8, and where it is to be', () => {
    const graph = behindConv(end).build('y');
    expect([...planQuantization(graph).float.keys()]).toEqual(['moved', 'y']);
    const float = new Map([['y', 'asked for']]);
    const plan = planQuantization(graph, { float, precisions: new Map([['x', 'int16']]) });
    expect([...plan.float]).toEqual([['y', 'asked for']]);
  });
});
