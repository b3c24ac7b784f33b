import { refKey } from '../../../src/graph/edit';
import { inferShapes } from '../../../src/graph/infer-shapes';
import { ChannelClasses } from '../../../src/passes/equalize/channel-classes';
import { tieChannels } from '../../../src/passes/equalize/tie-channels';
import { FloatGraph } from '../../support/float-graph';
import { randomOf } from '../../support/random';

const random = randomOf('tie-channels', 0);

const ref = (node: string) => ({ node, index: 0 });

/** The classes after the rule of `op`, which reads inputs of 2 and of 3 channels. */
function tied(build: (graph: FloatGraph) => FloatGraph) {
  const inputs = new FloatGraph(random)
    .input('x', [1, 4, 4, 2])
    .input('y', [1, 4, 4, 2])
    .input('z', [1, 4, 4, 3]);
  const graph = build(inputs).build('op');
  const shapes = inferShapes(graph);
  const classes = new ChannelClasses(shapes);
  tieChannels(graph, graph.nodes.get('op')!, shapes, classes);
  return {
    same: (a: string, i: number, b: string, j: number) =>
      classes.find(refKey(ref(a)), i) === classes.find(refKey(ref(b)), j),
    pinned: (a: string, i = 0) => classes.isPinned(classes.find(refKey(ref(a)), i)!),
  };
}

test('a rectifier ties each channel to its own', () => {
  const { same, pinned } = tied((g) => g.node('op', 'Relu', ['x']));
  expect(same('x', 0, 'op', 0) && same('x', 1, 'op', 1)).toBe(true);
  expect(same('x', 0, 'op', 1)).toBe(false);
  expect(pinned('x')).toBe(false);
});

test('a concatenation of channels shifts those of later parts', () => {
  const { same } = tied((g) =>
    g.constant('axis', [], [3], 'int32').node('op', 'ConcatV2', ['x', 'z', 'axis']),
  );
  expect(same('x', 1, 'op', 1) && same('z', 0, 'op', 2) && same('z', 2, 'op', 4)).toBe(true);
  expect(same('x', 0, 'z', 0)).toBe(false);
});

test('a concatenation of rows ties the channels of all parts', () => {
  const { same } = tied((g) =>
    g.constant('axis', [], [1], 'int32').node('op', 'ConcatV2', ['x', 'y', 'axis']),
  );
  expect(same('x', 0, 'y', 0) && same('y', 1, 'op', 1)).toBe(true);
});

test('a sum ties its operands, and pins them where one of them is broadcast', () => {
  const sum = tied((g) => g.node('op', 'AddV2', ['x', 'y']));
  expect(sum.same('x', 1, 'y', 1)).toBe(true);
  expect(sum.pinned('x')).toBe(false);
  const broadcast = tied((g) => g.input('map', [1, 4, 4, 1]).node('op', 'AddV2', ['x', 'map']));
  expect([broadcast.pinned('x'), broadcast.pinned('map')]).toEqual([true, true]);
});

test('a gate keeps its scale, and what it multiplies may have any', () => {
  const { same, pinned } = tied((g) => g.input('gate', [1, 1, 1, 2]).node('op', 'Mul', ['gate', 'x']));
  expect(pinned('gate')).toBe(true);
  expect(pinned('x')).toBe(false);
  expect(same('x', 1, 'op', 1)).toBe(true);
});

test('padded channels shift the others, and a sigmoid pins its input and result', () => {
  const pad = tied((g) =>
    g.constant('pads', [4, 2], [0, 0, 0, 0, 0, 0, 1, 2], 'int32').node('op', 'Pad', ['x', 'pads']),
  );
  expect(pad.same('x', 0, 'op', 1) && pad.same('x', 1, 'op', 2)).toBe(true);
  const sigmoid = tied((g) => g.node('op', 'Sigmoid', ['x']));
  expect([sigmoid.pinned('x'), sigmoid.pinned('op')]).toEqual([true, true]);
});
