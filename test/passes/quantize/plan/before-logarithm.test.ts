import { nodesBeforeLogarithm } from '../../../../src/passes/quantize/plan/before-logarithm';
import { randomOf } from '../../../support/random';
import { conv, image } from '../../../support/small-network';

const random = randomOf('before-logarithm', 0);

test('all nodes before a logarithm that a layer reads, the logarithm included', () => {
  const graph = conv(image(random), 'bank', 'image')
    .node('power', 'Square', ['bank'])
    .node('level', 'Log', ['power']);
  const found = nodesBeforeLogarithm(conv(graph, 'a', 'level').build('a'));
  expect([...found]).toEqual(expect.arrayContaining(['level', 'power', 'bank', 'image']));
  expect(found.has('a')).toBe(false);
});

test('none where no layer reads the logarithm, or where it is that of a sum with an exponential', () => {
  const end = conv(image(random), 'a', 'image').node('level', 'Log', ['a']).build('level');
  expect(nodesBeforeLogarithm(end).size).toBe(0);
  const softplus = image(random)
    .node('exp', 'Exp', ['image'])
    .constant('one', [], [1])
    .node('sum', 'AddV2', ['one', 'exp'])
    .node('soft', 'Log', ['sum']);
  expect(nodesBeforeLogarithm(conv(softplus, 'a', 'soft').build('a')).size).toBe(0);
});
