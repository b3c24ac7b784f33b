// @needs engine
/** Transposed convolutions whose windows overlap, with the scale and shift that follow them fused. */
import { attr } from '../../../../src/graph/attrs';
import { optimize } from '../../../../src/passes/pipeline';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { floatInOutNodes } from '../../../../src/passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../../src/passes/quantize/plan/layers';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { OpKind } from '../../../../src/program/program';
import { FloatGraph, windowAttrs } from '../../../support/float-graph';
import { expectReference, fidelity, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

interface Window {
  kernel: number;
  strides: number;
  size: number;
  padding: string;
}

const HALF: Window = { kernel: 3, strides: 2, size: 10, padding: 'SAME' };

/** `up` grows 5x5 pixels of 6 channels to `size` x `size` of 4. */
function transposed({ kernel, strides, size, padding }: Window): FloatGraph {
  return new FloatGraph(random)
    .input('x', [2, 5, 5, 6])
    .weights('w', [kernel, kernel, 4, 6], -0.5, 0.5)
    .constant('size', [4], [2, size, size, 4], 'int32')
    .node('up', 'Conv2DBackpropInput', ['size', 'w', 'x'], windowAttrs({ strides, padding }));
}

/** A bias, a batch norm and a rectifier after `up`. */
function withHead(graph: FloatGraph): FloatGraph {
  const norm = ['gamma', 'beta', 'mean', 'variance'];
  for (const part of norm) graph.weights(part, [4], 0.5, 1.5);
  return graph
    .weights('b', [4])
    .node('bias', 'BiasAdd', ['up', 'b'])
    .node('norm', 'FusedBatchNormV3', ['bias', ...norm], { epsilon: attr.float(1e-3) })
    .node('relu', 'Relu', ['norm']);
}

test.each<Window>([
  HALF,
  { kernel: 4, strides: 2, size: 10, padding: 'SAME' },
  { kernel: 3, strides: 2, size: 11, padding: 'VALID' },
  { kernel: 5, strides: 3, size: 15, padding: 'SAME' },
  { kernel: 3, strides: 1, size: 5, padding: 'SAME' },
])('run in a region: %p', async (window) => {
  const graph = transposed(window)
    .weights('v', [1, 1, 4, 3], -0.5, 0.5)
    .node('after', 'Conv2D', ['up', 'v'], windowAttrs())
    .build('after');
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  expect(plan.float.size).toBe(0);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(25);
  await expectReference(graph, observations, random);
});

describe.each(['dynamic', 'int16'] as const)('with %s activations', (precision) => {
  const precisions = new Map([['up', precision]]);

  test.each<Window>([
    HALF,
    { kernel: 4, strides: 2, size: 10, padding: 'SAME' },
    { kernel: 5, strides: 3, size: 15, padding: 'SAME' },
    { kernel: 7, strides: 2, size: 10, padding: 'SAME' },
    { kernel: 2, strides: 3, size: 15, padding: 'SAME' },
    { kernel: 3, strides: 1, size: 5, padding: 'SAME' },
  ])('are a convolution to blocks of pixels: %p', async (window) => {
    const { graph } = optimize(withHead(transposed(window)).build('relu'));
    const { observations, plan: inInt8 } = await quantize(graph, random);
    const [{ name }] = layersOf(graph, inInt8);
    const all = floatInOutNodes(graph, inInt8, new Map([[name, precision]]));
    const plan = planQuantization(graph, { precisions: all });
    expect([plan.float.size, plan.refused.size]).toEqual([0, 0]);
    const { ops } = lowerRegion(plan.regions[0], plan, observations).build();
    expect(ops.map(({ kind }) => kind)).toEqual(expect.arrayContaining([OpKind.Conv2D]));
    const { graph: quantized } = quantizeGraph(graph, plan, observations);
    for (const decibels of await fidelity(graph, quantized, random))
      expect(decibels).toBeGreaterThan(precision === 'int16' ? 70 : 35);
  });

  test('have no such form where the result is cut', () => {
    const graph = transposed({ kernel: 3, strides: 2, size: 11, padding: 'VALID' }).build('up');
    const { refused, float } = planQuantization(graph, { precisions });
    expect([...refused.keys(), ...float.keys()]).toEqual(['up']);
  });
});

test('take in bias, batch norm and activation', async () => {
  const { graph } = optimize(withHead(transposed(HALF)).build('relu'));
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  expect(plan.float.size).toBe(0);
  const { ops } = lowerRegion(plan.regions[0], plan, observations).build();
  expect(ops.map(({ kind }) => kind)).toEqual([OpKind.Quantize, OpKind.TransposedConv2D]);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(35);
  await expectReference(graph, observations, random);
});

test('are one layer with what they take in', () => {
  const graph = withHead(transposed(HALF)).build('relu');
  const [layer] = layersOf(graph, planQuantization(graph));
  expect(layer).toMatchObject({ name: 'up', weighted: true, result: { node: 'relu' } });
  expect([...layer.nodes].sort()).toEqual(['bias', 'norm', 'relu', 'up']);
});

test('keep a result that something else reads', async () => {
  const graph = withHead(transposed(HALF)).node('sum', 'AddV2', ['up', 'relu']).build('sum');
  const { graph: quantized, plan } = await quantize(graph, random);
  expect(layersOf(graph, plan).map(({ name }) => name)).toEqual(['up', 'bias', 'norm', 'sum']);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
});

test('stay float, with what would be taken in, where they are asked to', () => {
  const graph = withHead(transposed(HALF)).build('relu');
  const plan = planQuantization(graph, { float: new Map([['up', 'asked for']]) });
  expect(plan.regions).toEqual([]);
  expect(plan.float.get('bias')).toBe('no weighted op is next to it');
});
