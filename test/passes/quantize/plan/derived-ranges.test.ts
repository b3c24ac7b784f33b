// @needs engine

import { Ranges } from '../../../../src/passes/quantize/plan/derived-ranges';
import { floatInOutNodes } from '../../../../src/passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../../src/passes/quantize/plan/layers';
import { floatAnyway, planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../src/passes/quantize/quantize-graph';
import { WRITTEN_OUT, withFunction } from '../../../support/functions';
import { fidelity, quantize } from '../../../support/quantize';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

/** Fresh data reaches beyond the calibrated ranges, where it is clipped. */
const LEAST = 15;

describe.each(Object.keys(WRITTEN_OUT))('%s between two convolutions', (name) => {
  const random = randomOf(name, 0);
  const graph = withFunction(random, WRITTEN_OUT[name]);

  test.each(['int16', 'dynamic'] as const)('runs with any layers in %s', async (precision) => {
    const { plan, observations } = await quantize(graph, random);
    const layers = layersOf(graph, plan).map((layer) => layer.name);
    for (const chosen of [layers, ...layers.map((layer) => [layer])]) {
      const requested = new Map(chosen.map((layer) => [layer, precision] as const));
      const precisions = floatInOutNodes(graph, plan, requested);
      const other = planQuantization(graph, { float: floatAnyway(plan), precisions });
      const quantized = quantizeGraph(graph, other, observations).graph;
      expect((await fidelity(graph, quantized, random))[0]).toBeGreaterThan(LEAST);
    }
  });

  test('runs with any node but the convolutions in float', async () => {
    const { observations } = await quantize(graph, random);
    const nodes = [...graph.nodes.values()].filter(({ op }) => !/Const|Placeholder|Conv/.test(op));
    for (const node of nodes) {
      const plan = planQuantization(graph, { float: new Map([[node.name, 'requested']]) });
      const quantized = quantizeGraph(graph, plan, observations).graph;
      expect((await fidelity(graph, quantized, random))[0]).toBeGreaterThan(LEAST);
    }
  });
});

describe('ranges', () => {
  const random = randomOf('derived ranges', 0);

  test('of a function of a product of observed tensors are those of the function over the product', () => {
    const graph = image(random)
      .node('tanh', 'Tanh', ['image'])
      .node('product', 'Mul', ['image', 'tanh'])
      .node('softplus', 'Softplus', ['product'])
      .node('end', 'Sigmoid', ['softplus'])
      .build('end');
    const { shapes } = planQuantization(graph);
    const observed = new Map([
      ['image:0', { min: -1, max: 2 }],
      ['tanh:0', { min: -0.5, max: 1 }],
    ]);
    const range = new Ranges(graph, shapes, observed).of({ node: 'softplus', index: 0 })!;
    // The corners of the product: -1 * 1 and 2 * 1.
    expect(range.min).toBeCloseTo(Math.log1p(Math.exp(-1)), 6);
    expect(range.max).toBeCloseTo(Math.log1p(Math.exp(2)), 6);
  });

  test('of a function of an observed tensor are those of the function, wherever its extremes lie', () => {
    const graph = image(random)
      .node('tanh', 'Tanh', ['image'])
      .node('square', 'Square', ['tanh'])
      .node('sum', 'AddV2', ['square', 'tanh'])
      .build('sum');
    const { shapes } = planQuantization(graph);
    const ranges = new Ranges(graph, shapes, new Map([['image:0', { min: -1, max: 2 }]]));
    const values = Array.from({ length: 30001 }, (_, i) => Math.tanh(-1 + i / 1e4));
    const sums = values.map((t) => t * t + t);
    expect(ranges.of({ node: 'square', index: 0 })!.min).toBe(0);
    expect(ranges.of({ node: 'square', index: 0 })!.max).toBeCloseTo(Math.tanh(2) ** 2, 6);
    expect(ranges.of({ node: 'sum', index: 0 })!.min).toBeCloseTo(Math.min(...sums), 4);
    expect(ranges.of({ node: 'sum', index: 0 })!.max).toBeCloseTo(Math.max(...sums), 6);
  });

  test('of arithmetic of two tensors lie at the corners of theirs, and what was observed comes first', () => {
    const graph = conv(image(random), 'a', 'image').node('product', 'Mul', ['a', 'image']).build('product');
    const { shapes } = planQuantization(graph);
    const known = new Map([
      ['image:0', { min: -1, max: 2 }],
      ['a:0', { min: -3, max: 1 }],
    ]);
    const of = (observed: typeof known) =>
      new Ranges(graph, shapes, observed).of({ node: 'product', index: 0 });
    expect(of(known)).toEqual({ min: -6, max: 3 });
    expect(of(new Map([...known, ['product:0', { min: 0, max: 1 }]]))).toEqual({ min: 0, max: 1 });
    expect(of(new Map())).toBeUndefined();
  });

  test('of values in another arrangement are those of the values, and of a function of them too', () => {
    const graph = image(random)
      .constant('sizes', [2], [-1, 4], 'int32')
      .node('rows', 'Reshape', ['image', 'sizes'])
      .constant('order', [2], [1, 0], 'int32')
      .node('turned', 'Transpose', ['rows', 'order'])
      .node('tanh', 'Tanh', ['turned'])
      .build('tanh');
    const { shapes } = planQuantization(graph);
    const ranges = new Ranges(graph, shapes, new Map([['image:0', { min: -1, max: 2 }]]));
    for (const node of ['rows', 'turned']) expect(ranges.of({ node, index: 0 })).toEqual({ min: -1, max: 2 });
    expect(ranges.of({ node: 'tanh', index: 0 })!.max).toBeCloseTo(Math.tanh(2), 6);
  });
});
