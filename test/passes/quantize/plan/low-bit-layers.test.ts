import { endsOf, selectLowBit, weightedOps } from '../../../../src/passes/quantize/plan/low-bit-layers';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { windowAttrs } from '../../../support/float-graph';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('low-bit-layers', 0);
const requested =
  (byPattern = false) =>
  () => ({ format: 'uniform4' as const, group: 128 as const, block: 0, byPattern });

/** Four layers in a row: `a`, `depthwise`, `b`, `c`. */
function network(shape?: number[]) {
  return conv(
    conv(
      conv(image(random, shape), 'a', 'image')
        .weights('taps', [3, 3, 4, 1])
        .node('depthwise', 'DepthwiseConv2dNative', ['a', 'taps'], windowAttrs()),
      'b',
      'depthwise',
    ),
    'c',
    'b',
  ).build('c');
}

test('the first, the last and depthwise layers stay in INT8', () => {
  const graph = network();
  const plan = planQuantization(graph);
  expect(weightedOps(graph, plan).map(({ node }) => node.name)).toEqual(['a', 'depthwise', 'b', 'c']);
  const { layers, kept } = selectLowBit(graph, plan, requested());
  expect([...layers.keys()]).toEqual(['b']);
  expect(Object.fromEntries(kept)).toEqual({
    a: 'it is the first layer',
    depthwise: 'depthwise convolutions have no low-bit form',
    c: 'it is the last layer',
  });
});

test.each([
  ['a pattern names them', requested(true), {}],
  ['ends are treated as any other', requested(), { ends: true }],
])('the first and the last are low-bit where %s', (_, weights, options) => {
  const graph = network();
  const { layers } = selectLowBit(graph, planQuantization(graph), weights, options);
  expect([...layers.keys()]).toEqual(['a', 'b', 'c']);
});

test('a window needs the size of its input', () => {
  const graph = network([-1, -1, -1, 4]);
  const { kept } = selectLowBit(graph, planQuantization(graph), requested(true));
  expect(kept.get('b')).toBe('the size of its input is not known, which a window of 3x3 needs');
});

test('the ends are the layers that depend on no other, and that no other depends on', () => {
  const graph = conv(conv(image(random), 'a', 'image'), 'b', 'image').node('sum', 'AddV2', ['a', 'b']);
  const ends = endsOf(conv(graph, 'c', 'sum').build('c'), new Set(['a', 'b', 'c']));
  expect([[...ends.first], [...ends.last]]).toEqual([['a', 'b'], ['c']]);
});
