import { removeDeadNodes } from '../../src/passes/remove-dead-nodes';
import { ops } from '../support/float-graph';
import { convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('remove-dead-nodes', () => {
  test('drops a dead branch, and keeps an input that nobody reads', async () => {
    const graph = convolution(random).input('unused', [1]).node('dead', 'Relu', ['conv']).build('conv');
    const { graph: live } = removeDeadNodes.apply(graph);
    expect(ops(live)).toEqual(['Conv2D']);
    expect(live.nodes.has('unused')).toBe(true);
  });
});
