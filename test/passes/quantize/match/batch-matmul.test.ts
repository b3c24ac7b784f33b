// @needs engine
/** Products of two activations, softmax between them and at the end, and reshapes that join the two. */
import { attr } from '../../../../src/graph/attrs';
import { optimize } from '../../../../src/passes/pipeline';
import { lowerRegion } from '../../../../src/passes/quantize/lower-region';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { OpKind, TensorType } from '../../../../src/program/program';
import {
  drawFeeds,
  execute,
  expectSameFunction,
  FloatGraph,
  fusedAttrs,
  ops,
  windowAttrs,
} from '../../../support/float-graph';
import { expectReference, fidelity, quantize } from '../../../support/quantize';
import { type Random, randomOf } from '../../../support/random';

let random: Random;
beforeEach(() => {
  random = randomOf(expect.getState().currentTestName ?? '', 0);
});

const adjoint = (x: boolean, y: boolean) => ({ adj_x: attr.bool(x), adj_y: attr.bool(y) });

/** Sixteen tokens of eight features, `name`, from a dense layer on `from` [-1, 16, 8], written out as TensorFlow does. */
function dense(graph: FloatGraph, name: string, from: string, features = 8): FloatGraph {
  return graph
    .constant(`${name}/rows`, [2], [-1, 8], 'int32')
    .constant(`${name}/tokens`, [3], [-1, 16, features], 'int32')
    .weights(`${name}/w`, [8, features], -0.5, 0.5)
    .weights(`${name}/b`, [features], -0.5, 0.5)
    .node(`${name}/flat`, 'Reshape', [from, `${name}/rows`])
    .node(`${name}/product`, 'MatMul', [`${name}/flat`, `${name}/w`])
    .node(`${name}/grouped`, 'Reshape', [`${name}/product`, `${name}/tokens`])
    .node(name, 'BiasAdd', [`${name}/grouped`, `${name}/b`]);
}

function attention(): FloatGraph {
  const graph = new FloatGraph(random).input('x', [-1, 16, 8]);
  for (const name of ['q', 'k', 'v']) dense(graph, name, 'x');
  return graph
    .constant('root', [], [Math.SQRT1_2 / 2])
    .node('scaled', 'Mul', ['q', 'root'])
    .node('scores', 'BatchMatMulV2', ['scaled', 'k'], adjoint(false, true))
    .node('weights', 'Softmax', ['scores'])
    .node('mixed', 'BatchMatMulV2', ['weights', 'v'], adjoint(false, false))
    .node('residual', 'AddV2', ['mixed', 'x']);
}

test('an attention is one region', async () => {
  const { graph } = optimize(dense(attention(), 'out', 'residual', 4).build('out'));
  const { graph: quantized, plan } = await quantize(graph, random);
  expect([...plan.float.keys()]).toEqual(['out']); // the reshape after the last product
  expect(plan.regions).toHaveLength(1);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
});

test.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])('a product of two activations, transposed: %p, %p', async (x, y) => {
  const graph = dense(dense(new FloatGraph(random).input('x', [-1, 16, 8]), 'a', 'x', 16), 'b', 'x', 16)
    .node('product', 'BatchMatMul', ['a', 'b'], adjoint(x, y))
    .node('relu', 'Relu', ['product'])
    .build('relu');
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  expect(plan.float.size).toBe(0);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(graph, observations, random);
});

test('a product with many constant matrices, and with one, which are weights', async () => {
  const graph = dense(new FloatGraph(random).input('x', [2, 16, 8]), 'a', 'x')
    .weights('many', [2, 8, 8])
    .weights('one', [1, 5, 8])
    .node('product', 'BatchMatMulV2', ['a', 'many'], adjoint(false, false))
    .node('weighted', 'BatchMatMulV2', ['product', 'one'], adjoint(false, true))
    .build('weighted');
  const { graph: quantized, plan, observations } = await quantize(graph, random);
  const kinds = lowerRegion(plan.regions[0], plan, observations)
    .build()
    .ops.map(({ kind }) => kind);
  expect(kinds.slice(-3)).toEqual([OpKind.Constant, OpKind.BatchMatMul, OpKind.Linear]);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(graph, observations, random);
});

test('a fused product of two activations is separated from its bias', async () => {
  const graph = new FloatGraph(random)
    .input('x', [4, 8])
    .weights('wa', [8, 6], -0.5, 0.5)
    .weights('wb', [8, 6], -0.5, 0.5)
    .weights('bias', [4])
    .node('a', 'MatMul', ['x', 'wa'])
    .node('b', 'MatMul', ['x', 'wb'])
    .node('fused', '_FusedMatMul', ['a', 'b', 'bias'], {
      ...fusedAttrs(['BiasAdd', 'Relu']),
      transpose_b: attr.bool(true),
    })
    .build('fused');
  const { graph: separated } = optimize(graph);
  await expectSameFunction(graph, separated, random);
  expect(ops(separated)).toEqual(['MatMul', 'MatMul', 'MatMul', 'AddV2', 'Relu']);
  const { graph: quantized, plan, observations } = await quantize(separated, random);
  expect(plan.float.size).toBe(0);
  for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
  await expectReference(separated, observations, random);
});

describe('a softmax at the end', () => {
  const logits = (graph: FloatGraph) =>
    graph.weights('w', [1, 1, 4, 10], -3, 3).node('logits', 'Conv2D', ['mean', 'w'], windowAttrs());

  const pooled = () =>
    new FloatGraph(random)
      .input('image', [-1, 4, 4, 4])
      .constant('axes', [2], [1, 2], 'int32')
      .node('mean', 'Mean', ['image', 'axes'], { keep_dims: attr.bool(true) });

  test('reads logits that are not rounded, through a reshape', async () => {
    const graph = logits(pooled())
      .constant('shape', [2], [-1, 10], 'int32')
      .node('flat', 'Reshape', ['logits', 'shape'])
      .node('probabilities', 'Softmax', ['flat'])
      .build('probabilities');
    const { graph: quantized, plan, observations } = await quantize(graph, random);
    expect(plan.float.size).toBe(0);
    const { tensors, ops: steps } = lowerRegion(plan.regions[0], plan, observations).build();
    const types = steps.slice(-3).flatMap(({ inputs, output }) => [...inputs, output]);
    expect(types.slice(1).map((id) => tensors[id].type)).toEqual(Array(5).fill(TensorType.Float32));
    await expectReference(graph, observations, random);
    const feeds = drawFeeds(graph, random);
    const [expected, received] = [await execute(graph, feeds), await execute(quantized, feeds)];
    expected[0].values.forEach((value, i) => {
      expect(Math.abs(received[0].values[i] - value)).toBeLessThan(0.02);
    });
  });

  test('leaves the logits an output too', async () => {
    const graph = logits(pooled())
      .node('probabilities', 'Softmax', ['logits'])
      .build('probabilities', 'logits');
    const { graph: quantized, observations } = await quantize(graph, random);
    for (const decibels of await fidelity(graph, quantized, random)) expect(decibels).toBeGreaterThan(30);
    await expectReference(graph, observations, random);
  });

  test('takes codes where something else reads the logits as codes', async () => {
    const graph = logits(pooled())
      .node('probabilities', 'Softmax', ['logits'])
      .weights('v', [1, 1, 10, 3], -1, 1)
      .node('other', 'Conv2D', ['logits', 'v'], windowAttrs())
      .build('probabilities', 'other');
    const { plan, observations } = await quantize(graph, random);
    const { tensors, ops: steps } = lowerRegion(plan.regions[0], plan, observations).build();
    const softmax = steps.find(({ kind }) => kind === OpKind.Softmax)!;
    expect(tensors[softmax.inputs[0]].type).toBe(TensorType.Int8);
    expect(tensors[softmax.output].type).toBe(TensorType.Float32);
    await expectReference(graph, observations, random);
  });
});

test('an attention over a split projection is one region', async () => {
  const graph = dense(new FloatGraph(random).input('x', [-1, 16, 8]), 'qkv', 'x', 24)
    .constant('axis', [], [2], 'int32')
    .node('parts', 'Split', ['axis', 'qkv'], { num_split: attr.int(3) })
    .node('scores', 'BatchMatMulV2', ['parts', 'parts:1'], adjoint(false, true))
    .node('weights', 'Softmax', ['scores'])
    .node('mixed', 'BatchMatMulV2', ['weights', 'parts:2'], adjoint(false, false));
  const { graph: optimized } = optimize(dense(graph, 'out', 'mixed').build('out'));
  const plan = planQuantization(optimized);
  expect([...plan.float.keys()]).toEqual(['out']); // the reshape after the last product
  expect(plan.regions).toHaveLength(1);
});
