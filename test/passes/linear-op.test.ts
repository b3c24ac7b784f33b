import { attr } from '../../src/graph/attrs';
import { GraphEditor } from '../../src/graph/edit';
import type { Graph } from '../../src/graph/ir';
import {
  activationBounds,
  filterChannel,
  foldableLinearOp,
  type LinearOp,
  perChannel,
  readLinearOp,
  weightsPerChannel,
  writeLinearOp,
} from '../../src/passes/linear-op';
import { expectSameFunction, FloatGraph, fusedAttrs, windowAttrs } from '../support/float-graph';
import { convolution } from '../support/pass-checks';
import { type Random, randomOf } from '../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const read = (graph: Graph, name: string) => readLinearOp(graph, graph.nodes.get(name)!);

function fused(activation?: string): Graph {
  return convolution(random)
    .weights('bias', [4])
    .node('y', '_FusedConv2D', ['image', 'filter', 'bias'], {
      ...windowAttrs(),
      ...fusedAttrs(activation ? ['BiasAdd', activation] : ['BiasAdd']),
    })
    .build('y');
}

test('a fused convolution is a filter, a bias and a clamp', () => {
  const op = read(fused('Relu6'), 'y') as LinearOp;
  expect(op).toMatchObject({ kind: 'conv', filterName: 'filter', channels: 4, activation: 'Relu6' });
  expect(op.bias).toHaveLength(4);
  expect(weightsPerChannel(op)).toBe(27);
  expect(activationBounds(op)).toEqual([0, 6]);
});

test.each([
  ['Elu', 'it is fused with Elu'],
  ['Sigmoid', 'it is fused with Sigmoid'],
])('a convolution with %s is none', (activation, reason) => {
  expect(read(fused(activation), 'y')).toBe(reason);
});

test('a product with computed weights or a transposed input is none', () => {
  const graph = new FloatGraph(random)
    .input('a', [3, 4])
    .input('b', [4, 5])
    .weights('w', [3, 5])
    .node('dynamic', 'MatMul', ['a', 'b'])
    .node('transposed', 'MatMul', ['a', 'w'], { transpose_a: attr.bool(true) })
    .build('dynamic', 'transposed');
  expect(read(graph, 'dynamic')).toBe('its weights are not constant');
  expect(read(graph, 'transposed')).toBe('its input is transposed');
});

test('the output channel of each weight', () => {
  const channels = (op: Parameters<typeof filterChannel>[0], count: number) =>
    Array.from({ length: count }, (_, i) => filterChannel(op)(i));
  const filter = (shape: number[]) => ({ dtype: 'float32' as const, shape, values: new Float32Array(0) });
  const conv = { kind: 'conv' as const, filter: filter([1, 1, 2, 3]), transposed: false, channels: 3 };
  expect(channels(conv, 6)).toEqual([0, 1, 2, 0, 1, 2]);
  const transposed = { kind: 'matmul' as const, filter: filter([3, 2]), transposed: true, channels: 3 };
  expect(channels(transposed, 6)).toEqual([0, 0, 1, 1, 2, 2]);
});

test('one value a channel, from constants that broadcast along all other axes', () => {
  const constant = (shape: number[], values: number[]) => ({
    dtype: 'float32' as const,
    shape,
    values: Float32Array.from(values),
  });
  expect(perChannel(constant([1, 1, 2], [3, 4]), 2)).toEqual(Float32Array.of(3, 4));
  expect(perChannel(constant([], [5]), 3)).toEqual(Float32Array.of(5, 5, 5));
  expect(perChannel(constant([2, 1], [3, 4]), 2)).toBeUndefined();
  expect(perChannel(constant([3], [1, 2, 3]), 2)).toBeUndefined();
});

test.each([undefined, 'Relu', 'Relu6'] as const)(
  'a linear op that is written back with the clamp %s computes what its nodes did',
  async (activation) => {
    const plain = convolution(random);
    const before = activation ? plain.node('y', activation, ['conv']) : plain.node('y', 'Identity', ['conv']);
    const graph = before.build('y');
    const editor = new GraphEditor(graph);
    writeLinearOp(editor, 'y', { ...(read(graph, 'conv') as LinearOp), activation });
    const after = editor.finish();
    expect(after.nodes.get('y')?.op).toBe(activation ? '_FusedConv2D' : 'Conv2D');
    await expectSameFunction(graph, after, random);
  },
);

test('a linear op that something else reads, or that is an output, is not foldable', () => {
  const ref = { node: 'conv', index: 0 };
  const twice = convolution(random).node('a', 'Relu', ['conv']).node('b', 'Tanh', ['conv']).build('a', 'b');
  expect(foldableLinearOp(twice, ref)).toBe("'conv' has another consumer");
  const output = convolution(random).node('a', 'Relu', ['conv']).build('a', 'conv');
  expect(foldableLinearOp(output, ref)).toBe("'conv' is an output");
  const single = convolution(random).node('a', 'Relu', ['conv']).build('a');
  expect(foldableLinearOp(single, ref)).toMatchObject({ kind: 'conv', channels: 4 });
});
