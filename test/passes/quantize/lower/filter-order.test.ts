import type { LinearOp } from '../../../../src/passes/linear-op';
import {
  inFilterOrder,
  inputChannel,
  inputChannels,
  programChannel,
  reorder,
  tapOf,
} from '../../../../src/passes/quantize/lower/filter-order';

/** A filter whose values are their own indices. */
function op(kind: LinearOp['kind'], shape: number[], transposed = false): LinearOp {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const channels = kind === 'depthwise' ? shape[2] * shape[3] : shape.at(transposed ? 0 : -1)!;
  const values = Float32Array.from({ length: count }, (_, i) => i);
  return {
    kind,
    node: { name: 'op', op: 'Op', inputs: [], attrs: {} },
    input: { node: 'x', index: 0 },
    filterName: 'filter',
    filter: { dtype: 'float32', shape, values },
    transposed,
    channels,
  };
}

const CASES: [string, LinearOp][] = [
  ['a convolution', op('conv', [2, 3, 4, 5])],
  ['a depthwise convolution', op('depthwise', [2, 3, 4, 2])],
  ['a product', op('matmul', [6, 5])],
  ['a transposed product', op('matmul', [5, 6], true)],
];

/** Coordinates of each value of the filter in the program's order. */
const indices = (of: LinearOp) => Array.from(reorder(of));

test('convolutions are [out, h, w, in]', () => {
  // Filter [h=1, w=2, in=2, out=2]: value ((w * 2) + in) * 2 + out.
  expect(indices(op('conv', [1, 2, 2, 2]))).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
});

test('products are [out, in], and transposed ones are so from the start', () => {
  expect(indices(op('matmul', [2, 3]))).toEqual([0, 3, 1, 4, 2, 5]);
  expect(indices(op('matmul', [3, 2], true))).toEqual([0, 1, 2, 3, 4, 5]);
});

test.each(CASES)('the order of %s can be reversed', (_, given) => {
  expect(inFilterOrder(given, reorder(given))).toEqual(given.filter.values);
});

test.each(CASES)('channels and taps of %s are those of the filter', (_, given) => {
  const [, width, inChannels, last] = given.filter.shape;
  const channel = programChannel(given);
  const input = inputChannel(given);
  indices(given).forEach((index, i) => {
    if (given.kind === 'matmul') {
      const [row, column] = [Math.floor(index / given.filter.shape[1]), index % given.filter.shape[1]];
      expect([channel(i), input(i)]).toEqual(given.transposed ? [row, column] : [column, row]);
      return;
    }
    const position = Math.floor(index / last);
    const from = position % inChannels;
    const own = given.kind === 'conv' ? index % last : from * last + (index % last);
    expect([channel(i), input(i)]).toEqual([own, from]);
    const tap = Math.floor(position / inChannels);
    expect(tapOf(given)(i)).toBe(tap);
    expect(tap).toBeLessThan(given.filter.shape[0] * width);
  });
});

test('a row of weights has the input channels once for each tap', () => {
  expect(CASES.map(([, given]) => inputChannels(given))).toEqual([4, 6, 6, 6]);
});
