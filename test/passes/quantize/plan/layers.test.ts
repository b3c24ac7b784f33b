import { layersOf } from '../../../../src/passes/quantize/plan/layers';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('layers', 0);

test('a layer is an op with the functions in its store, or a table of its own', () => {
  const inner = conv(image(random), 'a', 'image').node('elu', 'Elu', ['a']);
  const graph = conv(conv(inner, 'b', 'elu').node('tanh', 'Tanh', ['b']), 'c', 'tanh')
    .node('sum', 'AddV2', ['b', 'c'])
    .build('sum');
  const layers = layersOf(graph, planQuantization(graph));
  expect(layers.map(({ name, op, weighted, nodes }) => [name, op, weighted, [...nodes].sort()])).toEqual([
    ['a', '_FusedConv2D', true, ['a', 'elu']],
    ['b', '_FusedConv2D', true, ['b']],
    ['tanh', 'Tanh', false, ['tanh']],
    ['c', '_FusedConv2D', true, ['c']],
    ['sum', 'AddV2', false, ['sum']],
  ]);
  expect(layers[0].result).toEqual({ node: 'elu', index: 0 });
});

test('a reshape is no layer', () => {
  const graph = conv(image(random), 'a', 'image')
    .constant('shape', [2], [-1, 256], 'int32')
    .node('flat', 'Reshape', ['a', 'shape'])
    .weights('w', [256, 3])
    .node('y', 'MatMul', ['flat', 'w'])
    .build('y');
  expect(layersOf(graph, planQuantization(graph)).map(({ name }) => name)).toEqual(['a', 'y']);
});
