import { optimize } from '../../src/passes/pipeline';
import { splitSums } from '../../src/passes/split-sums';
import { ops, windowAttrs } from '../support/float-graph';
import { applyPass, convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

describe('split-sums', () => {
  const sums = () =>
    convolution(random).weights('other', [3, 3, 3, 4]).node('y', 'Conv2D', ['image', 'other'], windowAttrs());

  test('adds many tensors two at a time', async () => {
    const graph = sums().node('relu', 'Relu', ['y']).node('sum', 'AddN', ['conv', 'y', 'relu']);
    const { live, graph: split } = await applyPass(splitSums, graph.build('sum'), random);
    expect(live.sort()).toEqual(['AddV2', 'AddV2', 'Conv2D', 'Conv2D', 'Relu']);
    expect(split.nodes.get('sum')?.op).toBe('AddV2');
  });

  test('gives the constant of a sum to a linear op in it', async () => {
    const graph = sums()
      .node('relu', 'Relu', ['y'])
      .node('sum', 'AddN', ['relu', 'conv'])
      .weights('shift', [4])
      .node('shifted', 'AddV2', ['shift', 'sum'])
      .build('shifted');
    const { graph: optimized } = await applyPass({ apply: optimize }, graph, random);
    expect(ops(optimized).sort()).toEqual(['AddV2', '_FusedConv2D', '_FusedConv2D']);
  });

  test('leaves a constant that differs along the height, and a sum that is read elsewhere', async () => {
    const high = sums().node('sum', 'AddV2', ['conv', 'y']).weights('shift', [6, 1, 1]);
    const untouched = await applyPass(
      splitSums,
      high.node('shifted', 'AddV2', ['sum', 'shift']).build('shifted'),
      random,
    );
    expect(untouched.changes).toEqual([]);
    const read = sums().node('sum', 'AddV2', ['conv', 'y']).weights('shift', [4]);
    const twice = read.node('shifted', 'AddV2', ['sum', 'shift']).node('relu', 'Relu', ['sum']);
    expect((await applyPass(splitSums, twice.build('shifted', 'relu'), random)).changes).toEqual([]);
  });
});
