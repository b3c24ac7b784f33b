import { attr } from '../../src/graph/attrs';
import { inferShapes } from '../../src/graph/infer-shapes';
import { resolveStridedSlice } from '../../src/graph/strided-slice';
import { drawFeeds, execute, FloatGraph } from '../support/float-graph';
import { forEachCase, type Random, randomOf } from '../support/random';

const DIMS = [2, 7, 5, 3];

/** A slice of an input of rank 4: any masks, positions beyond the ends, negative strides. */
function drawSlice(draw: Random) {
  const entries = draw.int(1, 5);
  const numbers = (min: number, max: number) => Array.from({ length: entries }, () => draw.int(min, max));
  const masks = { begin: draw.int(0, 31), end: draw.int(0, 31), shrink_axis: 0, new_axis: 0, ellipsis: 0 };
  for (let i = 0; i < entries; i++) {
    const kind = draw.int(0, 9);
    if (kind === 0) masks.shrink_axis |= 1 << i;
    else if (kind === 1 || (entries === 5 && i === 4)) masks.new_axis |= 1 << i;
    else if (kind === 2 && masks.ellipsis === 0) masks.ellipsis |= 1 << i;
  }
  const strides = numbers(-2, 2).map((s) => s || 1);
  const graph = new FloatGraph(draw)
    .input('x', DIMS)
    .constant('begin', [entries], numbers(-3, 1), 'int32')
    .constant('end', [entries], numbers(-9, 9), 'int32')
    .constant('strides', [entries], strides, 'int32')
    .node('slice', 'StridedSlice', ['x', 'begin', 'end', 'strides'], {
      begin_mask: attr.int(masks.begin),
      end_mask: attr.int(masks.end),
      shrink_axis_mask: attr.int(masks.shrink_axis),
      new_axis_mask: attr.int(masks.new_axis),
      ellipsis_mask: attr.int(masks.ellipsis),
    });
  return graph.build('slice');
}

test('shapes of slices are those that TF.js computes', async () => {
  let known = 0;
  await forEachCase('slices', 200, async (draw) => {
    const graph = drawSlice(draw);
    let result: Awaited<ReturnType<typeof execute>>;
    try {
      result = await execute(graph, drawFeeds(graph, draw));
    } catch {
      return; // More entries than axes, or a position outside.
    }
    const inferred = inferShapes(graph).get('slice:0');
    if (inferred === undefined) return;
    known++;
    expect(inferred).toEqual(result[0].shape);
  });
  expect(known).toBeGreaterThan(100);
});

test('of axes of unknown size nothing is presumed, whatever their size turns out to be', async () => {
  let known = 0;
  await forEachCase('open slices', 200, async (draw) => {
    const graph = drawSlice(draw);
    let result: Awaited<ReturnType<typeof execute>>;
    try {
      result = await execute(graph, drawFeeds(graph, draw));
    } catch {
      return;
    }
    const shape = DIMS.map((d) => (draw.chance(0.5) ? -1 : d));
    const inferred = inferShapes({ ...graph, inputs: [{ ...graph.inputs[0], shape }] }).get('slice:0');
    if (inferred === undefined) return;
    known++;
    expect(inferred).toEqual(result[0].shape.map((d, i) => (inferred[i] < 0 ? -1 : d)));
  });
  expect(known).toBeGreaterThan(100);
});

function sliceOf(shape: number[], begin: number[], end: number[], masks: Record<string, number> = {}) {
  const attrs = Object.fromEntries(Object.entries(masks).map(([name, bits]) => [name, attr.int(bits)]));
  return new FloatGraph(randomOf('slice', 0))
    .input('x', shape)
    .constant('begin', [begin.length], begin, 'int32')
    .constant('end', [end.length], end, 'int32')
    .constant(
      'strides',
      [begin.length],
      begin.map(() => 1),
      'int32',
    )
    .node('slice', 'StridedSlice', ['x', 'begin', 'end', 'strides'], attrs)
    .build('slice');
}

test.each([
  ['the first of an open axis', sliceOf([-1, -1, 4], [0, 0], [0, 10], { begin_mask: 3, end_mask: 1 }), 1],
  ['the first of a batch', sliceOf([-1, 7], [0], [1]), 0],
  ['the last of a batch', sliceOf([-1, 7], [-2], [0], { end_mask: 1 }), 0],
])('%s is not the whole axis', (_, graph, axis) => {
  const node = graph.nodes.get('slice')!;
  const [begin, end, strides] = ['begin', 'end', 'strides'].map((n) =>
    Array.from(graph.constants.get(n)!.values),
  );
  const taken = resolveStridedSlice(node, graph.inputs[0].shape!, begin, end, strides)!;
  expect(taken.axes[axis]).toEqual({ start: -1, stride: 1, size: -1, dropped: false });
});

test('an axis to its end, as ONNX writes it, is the whole axis', () => {
  expect(inferShapes(sliceOf([-1, 7], [0, 1], [2 ** 31 - 1, 2 ** 31 - 1])).get('slice:0')).toEqual([-1, 6]);
  const { axes } = resolveStridedSlice(
    sliceOf([-1, 7], [0], [2 ** 31 - 1]).nodes.get('slice')!,
    [-1, 7],
    [0],
    [2 ** 31 - 1],
    [1],
  )!;
  expect(axes[0]).toEqual({ start: 0, stride: 1, size: -1, dropped: false });
});

test('an axis of unknown size stays unknown, and one that is added is 1', () => {
  const masks = { begin_mask: attr.int(5), end_mask: attr.int(5), new_axis_mask: attr.int(2) };
  const graph = new FloatGraph({} as Random)
    .input('x', [-1, 40])
    .constant('begin', [3], [0, 0, 0], 'int32')
    .constant('end', [3], [0, 0, 0], 'int32')
    .constant('strides', [3], [1, 1, 1], 'int32')
    .node('slice', 'StridedSlice', ['x', 'begin', 'end', 'strides'], masks)
    .build('slice');
  expect(inferShapes(graph).get('slice:0')).toEqual([-1, 1, 40]);
});
