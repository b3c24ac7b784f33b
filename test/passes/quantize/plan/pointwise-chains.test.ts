// @needs engine
/** Activations and gates written out in many nodes: each one table or a few ops in the region of its neighbours. */
import { attr } from '../../../../src/graph/attrs';
import { optimize } from '../../../../src/passes/pipeline';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { OpKind } from '../../../../src/program/program';
import { FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference, fidelity, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

type Build = (graph: FloatGraph) => FloatGraph;

const scalar = (graph: FloatGraph, name: string, value: number) => graph.constant(name, [], [value]);

/** relu6(x + 3), as `gate`. */
const gate: Build = (g) =>
  scalar(g, 'three', 3).node('shifted', 'AddV2', ['x', 'three']).node('gate', 'Relu6', ['shifted']);

/** Each computes `f` of a convolution's result `x`. */
const ACTIVATIONS: [string, Build][] = [
  ['swish', (g) => g.node('sigmoid', 'Sigmoid', ['x']).node('f', 'Mul', ['x', 'sigmoid'])],
  [
    'swish, its factors the other way round',
    (g) => g.node('s', 'Sigmoid', ['x']).node('f', 'Mul', ['s', 'x']),
  ],
  [
    'swish with a slope',
    (g) =>
      scalar(g, 'beta', 1.702)
        .node('sloped', 'Mul', ['beta', 'x'])
        .node('sigmoid', 'Sigmoid', ['sloped'])
        .node('f', 'Mul', ['x', 'sigmoid']),
  ],
  [
    'hard-swish, x * (relu6(x + 3) / 6)',
    (g) =>
      scalar(gate(g), 'six', 6).node('share', 'RealDiv', ['gate', 'six']).node('f', 'Mul', ['x', 'share']),
  ],
  [
    'hard-swish, (x * relu6(x + 3)) * (1 / 6)',
    (g) =>
      scalar(gate(g), 'sixth', 1 / 6)
        .node('product', 'Mul', ['x', 'gate'])
        .node('f', 'Mul', ['product', 'sixth']),
  ],
  [
    'hard-swish by a clip',
    (g) =>
      scalar(scalar(scalar(scalar(g, 'three', 3), 'zero', 0), 'six', 6), 'sixth', 1 / 6)
        .node('shifted', 'AddV2', ['three', 'x'])
        .node('gate', 'ClipByValue', ['shifted', 'zero', 'six'])
        .node('share', 'Mul', ['sixth', 'gate'])
        .node('f', 'Mul', ['share', 'x']),
  ],
  [
    'hard-swish by a minimum and a maximum',
    (g) =>
      scalar(scalar(scalar(scalar(g, 'half', 0.5), 'zero', 0), 'one', 1), 'sixth', 1 / 6)
        .node('sloped', 'Mul', ['x', 'sixth'])
        .node('shifted', 'AddV2', ['sloped', 'half'])
        .node('above', 'Maximum', ['shifted', 'zero'])
        .node('share', 'Minimum', ['above', 'one'])
        .node('f', 'Mul', ['x', 'share']),
  ],
  [
    'Mish',
    (g) => g.node('soft', 'Softplus', ['x']).node('tanh', 'Tanh', ['soft']).node('f', 'Mul', ['x', 'tanh']),
  ],
  [
    'GELU',
    (g) =>
      scalar(scalar(scalar(g, 'root', Math.SQRT1_2), 'one', 1), 'half', 0.5)
        .node('scaled', 'Mul', ['x', 'root'])
        .node('erf', 'Erf', ['scaled'])
        .node('shifted', 'AddV2', ['erf', 'one'])
        .node('product', 'Mul', ['x', 'shifted'])
        .node('f', 'Mul', ['product', 'half']),
  ],
  [
    'GELU by a tangent',
    (g) =>
      scalar(
        scalar(scalar(scalar(g, 'cubic', 0.044715), 'root', Math.sqrt(2 / Math.PI)), 'one', 1),
        'half',
        0.5,
      )
        .node('square', 'Square', ['x'])
        .node('cube', 'Mul', ['square', 'x'])
        .node('small', 'Mul', ['cube', 'cubic'])
        .node('sum', 'AddV2', ['x', 'small'])
        .node('scaled', 'Mul', ['sum', 'root'])
        .node('tanh', 'Tanh', ['scaled'])
        .node('shifted', 'AddV2', ['tanh', 'one'])
        .node('share', 'Mul', ['shifted', 'half'])
        .node('f', 'Mul', ['x', 'share']),
  ],
];

function between(build: Build): FloatGraph {
  const before = new FloatGraph(random)
    .input('image', [-1, 6, 6, 4])
    .weights('wx', [3, 3, 4, 6], -0.5, 0.5)
    .node('x', 'Conv2D', ['image', 'wx'], windowAttrs());
  return build(before).weights('wy', [1, 1, 6, 3], -0.5, 0.5).node('y', 'Conv2D', ['f', 'wy'], windowAttrs());
}

test.each(ACTIVATIONS)('%s is a table in the convolution before it', async (_, build) => {
  const { graph } = optimize(between(build).build('y'));
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  expect([...plan.float]).toEqual([]);
  const { ops } = lowerRegion(plan.regions[0], plan, observations).build();
  expect(ops.map(({ kind }) => kind)).toEqual([OpKind.Quantize, OpKind.Conv2D, OpKind.Conv2D]);
  expect(ops[1]).toMatchObject({ activation: { tableOffset: expect.any(Number) } });
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(graph, observations, random);
});

const MEANS = { keep_dims: attr.bool(true) };

/** What makes a gate, `gate`, of [-1, 1, 1, 6] means. */
const GATES: [string, Build][] = [
  [
    'two convolutions and a sigmoid',
    (g) =>
      g
        .constant('axes', [2], [1, 2], 'int32')
        .weights('down', [1, 1, 6, 2])
        .weights('up', [1, 1, 2, 6])
        .node('mean', 'Mean', ['x', 'axes'], MEANS)
        .node('squeezed', 'Conv2D', ['mean', 'down'], windowAttrs())
        .node('relu', 'Relu', ['squeezed'])
        .node('excited', 'Conv2D', ['relu', 'up'], windowAttrs())
        .node('gate', 'Sigmoid', ['excited']),
  ],
  [
    'two dense layers and a hard sigmoid',
    (g) =>
      scalar(scalar(g, 'three', 3), 'sixth', 1 / 6)
        .constant('axes', [2], [1, 2], 'int32')
        .constant('pixel', [4], [-1, 1, 1, 6], 'int32')
        .weights('down', [6, 2])
        .weights('up', [2, 6])
        .node('mean', 'Mean', ['x', 'axes'])
        .node('squeezed', 'MatMul', ['mean', 'down'])
        .node('relu', 'Relu', ['squeezed'])
        .node('excited', 'MatMul', ['relu', 'up'])
        .node('shifted', 'AddV2', ['excited', 'three'])
        .node('clamped', 'Relu6', ['shifted'])
        .node('share', 'Mul', ['clamped', 'sixth'])
        .node('gate', 'Reshape', ['share', 'pixel']),
  ],
];

test.each(GATES)('squeeze-and-excite by %s is in one region', async (_, build) => {
  const { graph } = optimize(between((g) => build(g).node('f', 'Mul', ['x', 'gate'])).build('y'));
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  expect([...plan.float]).toEqual([]);
  expect(plan.regions).toHaveLength(1);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(graph, observations, random);
});
