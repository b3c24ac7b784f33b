// @needs engine
import { output, refKey } from '../../../../src/graph/edit';
import { floatAnyway, planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { type FloatGraph, windowAttrs } from '../../../support/float-graph';
import { fidelity, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const regionsOf = (graph: ReturnType<FloatGraph['build']>) =>
  planQuantization(graph).regions.map((r) => r.nodes.map((n) => n.name));

describe('regions', () => {
  test('join a residual block into one', () => {
    const graph = conv(conv(image(random), 'a', 'image', 'Relu'), 'b', 'a').node('sum', 'AddV2', ['a', 'b']);
    expect(regionsOf(graph.build('sum'))).toEqual([['a', 'b', 'sum']]);
  });

  test('never span a float node between two of their nodes', async () => {
    const graph = conv(image(random), 'a', 'image')
      .node('float', 'LogSoftmax', ['a'])
      .node('sum', 'AddV2', ['a', 'float']);
    const built = conv(graph, 'b', 'sum').build('b');
    expect(regionsOf(built)).toEqual([['a'], ['sum', 'b']]);
    const quantized = await quantize(built, random);
    const [decibels] = await fidelity(built, quantized.graph, random);
    expect(decibels).toBeGreaterThan(25);
  });

  test('give int16 activations to what a logarithm is computed of, up to its next weighted op', async () => {
    const graph = conv(image(random), 'bank', 'image')
      .node('power', 'Square', ['bank'])
      .constant('floor', [], [1e-6])
      .node('floored', 'AddV2', ['power', 'floor'])
      .node('level', 'Log', ['floored']);
    const built = conv(graph, 'a', 'level').build('a');
    const plan = planQuantization(built);
    expect(plan.precisions.get('bank')).toBe('int16');
    expect(plan.precisions.has('a')).toBe(false);
    const { graph: quantized } = await quantize(built, random);
    const [decibels] = await fidelity(built, quantized, random);
    expect(decibels).toBeGreaterThan(30);
  });

  test('leave to float what a logarithm is computed of without such a form', () => {
    const graph = conv(image(random), 'bank', 'image')
      .node('product', 'BatchMatMulV2', ['bank', 'bank'], { adj_x: { b: true } })
      .node('level', 'Log', ['product']);
    const plan = planQuantization(conv(graph, 'a', 'level').build('a'));
    expect(plan.float.get('product')).toContain('logarithm');
  });

  test('quantize what a logarithm at the end, or that of a softplus, is computed of', () => {
    const end = conv(image(random), 'a', 'image').node('level', 'Log', ['a']).build('level');
    expect(regionsOf(end)).toEqual([['a']]);
    const softplus = conv(image(random), 'a', 'image')
      .node('exp', 'Exp', ['a'])
      .constant('one', [], [1])
      .node('sum', 'AddV2', ['exp', 'one'])
      .node('soft', 'Log', ['sum']);
    expect(regionsOf(conv(softplus, 'b', 'soft').build('b')).flat()).toContain('a');
  });

  test('store what only a concatenation reads with its range, other parts with their own', () => {
    const graph = conv(conv(image(random), 'a', 'image'), 'b', 'image')
      .constant('axis', [], [3], 'int32')
      .node('both', 'ConcatV2', ['a', 'b', 'axis'])
      .node('pool', 'MaxPool', ['both'], windowAttrs({ ksize: 2 }))
      .node('sum', 'AddV2', ['b', 'image']);
    const [region] = planQuantization(graph.build('pool', 'sum')).regions;
    expect([...region.sharedRanges]).toEqual([[refKey(output('a')), output('both')]]);
  });

  test('need a weighted op', () => {
    const plan = planQuantization(
      image(random).node('relu', 'Relu', ['image']).node('sum', 'AddV2', ['relu', 'image']).build('sum'),
    );
    expect(plan.regions).toEqual([]);
    expect(plan.float.get('relu')).toContain('no weighted op');
  });

  test('leave a reshape and a sigmoid at their end to TF.js', () => {
    const graph = conv(image(random), 'a', 'image')
      .constant('shape', [2], [-1, 256], 'int32')
      .node('flat', 'Reshape', ['a', 'shape'])
      .node('probability', 'Sigmoid', ['flat'])
      .build('probability');
    const plan = planQuantization(graph);
    expect(plan.regions.map((r) => r.nodes.map((n) => n.name))).toEqual([['a']]);
    expect([...plan.float.keys()]).toEqual(['flat', 'probability']);
  });

  test('leave out what is to stay float, and take ops without weights when asked', () => {
    const graph = conv(conv(image(random), 'a', 'image'), 'b', 'a')
      .node('sum', 'AddV2', ['a', 'b'])
      .build('sum');
    const float = new Map([
      ['a', 'asked for'],
      ['b', 'asked for'],
    ]);
    expect(planQuantization(graph, { float })).toMatchObject({
      regions: [],
      float: new Map([...float, ['sum', 'no weighted op is next to it']]),
    });
    const { regions } = planQuantization(graph, { float, weightless: true });
    expect(regions.map((r) => r.nodes.map((n) => n.name))).toEqual([['sum']]);
  });

  test('say why a node is left out', () => {
    const graph = conv(image(random), 'a', 'image')
      .input('weights', [3, 3, 4, 4])
      .node('dynamic', 'Conv2D', ['a', 'weights'], windowAttrs())
      .node('softmax', 'Softmax', ['dynamic'])
      .node('rounded', 'Round', ['softmax'])
      .build('rounded');
    expect(Object.fromEntries(planQuantization(graph).float)).toEqual({
      dynamic: 'its weights are not constant',
      softmax: 'no weighted op is next to it',
      rounded: 'Round has no quantized form',
    });
  });
});

test('nodes that are float only because they lie outside of regions are not float anyway', () => {
  const graph = conv(image(random), 'a', 'image')
    .constant('shape', [2], [-1, 256], 'int32')
    .node('flat', 'Reshape', ['a', 'shape'])
    .node('rounded', 'Round', ['flat'])
    .build('rounded');
  const plan = planQuantization(graph);
  expect([...plan.float.keys()]).toEqual(['rounded', 'flat']);
  expect([...floatAnyway(plan)]).toEqual([['rounded', 'Round has no quantized form']]);
});
