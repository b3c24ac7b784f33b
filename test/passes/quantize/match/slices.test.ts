// @needs engine
/** Slices of axes of known and of unknown size, against TF.js. */
import { attr } from '../../../../src/graph/attrs';
import { optimize } from '../../../../src/passes/pipeline';
import { execute, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { quantize } from '../../../support/quantize';
import { forEachCase, type Random } from '../../../support/random';

const T = { T: attr.dtype('float32') };
const RANK = 4;

function stridedSlice(graph: FloatGraph, random: Random, sizes: readonly number[]): FloatGraph {
  const axes = random.int(1, RANK);
  const masks = { begin: 0, end: 0, shrink_axis: 0 };
  const [begin, end, strides]: number[][] = [[], [], []];
  for (let axis = 0; axis < axes; axis++) {
    const size = sizes[axis];
    const from = random.int(0, size - 1);
    const negative = random.int(0, 2) === 0;
    begin.push(negative ? from - size : from);
    const to = random.int(from + 1, size);
    end.push(negative && to < size ? to - size : to);
    strides.push(random.int(0, 3) === 0 ? 2 : 1);
    if (random.int(0, 2) === 0) {
      masks.begin |= 1 << axis;
    } else if (axis > 0 && axis < 3 && random.int(0, 6) === 0) {
      masks.shrink_axis |= 1 << axis;
      strides[axis] = 1;
      end[axis] = begin[axis] === -1 ? sizes[axis] : begin[axis] + 1;
    }
    if (random.int(0, 2) === 0) masks.end |= 1 << axis;
  }
  const names = Object.entries({ begin, end, strides }).map(([name, values]) => {
    graph.constant(name, [axes], values, 'int32');
    return name;
  });
  const attrs = Object.fromEntries(
    ['begin', 'end', 'shrink_axis', 'ellipsis', 'new_axis'].map((name) => [
      `${name}_mask`,
      attr.int(masks[name as keyof typeof masks] ?? 0),
    ]),
  );
  return graph.node('part', 'StridedSlice', ['a', ...names], { ...T, ...attrs });
}

function slice(graph: FloatGraph, random: Random, sizes: readonly number[]): FloatGraph {
  const begin = sizes.map((size) => random.int(0, size - 1));
  const size = sizes.map((s, i) => (random.int(0, 1) ? -1 : random.int(1, s - begin[i])));
  return graph
    .constant('begin', [RANK], begin, 'int32')
    .constant('size', [RANK], size, 'int32')
    .node('part', 'Slice', ['a', 'begin', 'size'], T);
}

test.each([
  ['StridedSlice', stridedSlice],
  ['Slice', slice],
])('%s takes what TF.js takes', async (name, add) => {
  await forEachCase(name, 60, async (random) => {
    const sizes = [3, random.int(4, 7), random.int(4, 7), 4];
    const open = sizes.map((size, axis) => (axis < 3 && random.int(0, 1) ? -1 : size));
    const graph = new FloatGraph(random)
      .input('image', open)
      .weights('w', [1, 1, 4, 4], -0.5, 0.5)
      .weights('v', [1, 1, 4, 4], -0.5, 0.5)
      .node('a', 'Conv2D', ['image', 'w'], windowAttrs());
    add(graph, random, sizes).node('relu', 'Relu', ['part']).node('sum', 'AddV2', ['relu', 'relu']);
    const built = graph.build('sum');
    const count = sizes.reduce((p, d) => p * d, 1);
    const values = Float32Array.from({ length: count }, () => random.real(-2, 2));
    const feeds = { image: { shape: sizes, values } };
    const { graph: quantized } = await quantize(optimize(built).graph, random, undefined, [feeds]);
    const [[expected], [received]] = [await execute(built, feeds), await execute(quantized, feeds)];
    expect(received.shape).toEqual(expected.shape);
    const error = expected.values.reduce((sum, v, i) => sum + Math.abs(v - received.values[i]), 0);
    // A step of the codes is about 0.03.
    expect(error / expected.values.length).toBeLessThan(0.15);
  });
});
