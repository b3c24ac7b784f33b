/** A model loaded for evaluation, against the graph run on TF.js's backend `cpu`. */
import '@tensorflow/tfjs-backend-cpu';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { attr, shapeToJson } from '../../src/graph/attrs';
import type { Graph, Sample } from '../../src/graph/ir';
import { writeGraphModel } from '../../src/graph/write-graph-model';
import '../../src/index.node';
import { ModelSession } from '../../src/loading/session';
import { importBackend, withBackend } from '../../src/tfjs/backends';
import { drawFeeds, execute, FloatGraph } from '../support/float-graph';
import { toSample } from '../support/quantize';
import { randomOf } from '../support/random';
import { temporaryFolder } from '../support/tiny-model';

const random = randomOf('session', 0);

async function withSession<T>(graph: Graph, body: (session: ModelSession) => Promise<T>): Promise<T> {
  const folder = join(temporaryFolder(), 'model');
  await writeGraphModel(graph, folder);
  return withBackend(await importBackend(), async () => {
    const session = await ModelSession.load(join(folder, 'model.json'));
    try {
      return await body(session);
    } finally {
      session.dispose();
    }
  });
}

const tensor = (values: number[], shape = [values.length]) => ({
  dtype: 'float32' as const,
  shape,
  values: Float32Array.from(values),
});

test('outputs that are strings are left out, and the others keep their names', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2])
    .node('s', 'Placeholder', [], { dtype: attr.dtype('string'), shape: { shape: shapeToJson([2]) } })
    .node('label', 'Identity', ['s'], { T: attr.dtype('string') })
    .node('y', 'Relu', ['x'])
    .build('label', 'y');
  const [label, y] = graph.outputs;
  const inputs = [...graph.inputs, { name: 's', ref: { node: 's', index: 0 }, dtype: 'string', shape: [2] }];
  const strings = { ...graph, inputs, outputs: [{ ...label, dtype: 'string' }, y] } as Graph;
  const sample = {
    x: tensor([-1, 3]),
    s: { dtype: 'string', shape: [2], values: ['a', 'b'] },
  } as unknown as Sample;
  const { inputs: specs, outputs } = await withSession(strings, async (session) => ({
    inputs: session.inputs,
    outputs: await session.predict(sample),
  }));
  expect(specs.map(({ name, dtype }) => [name, dtype])).toEqual([
    ['x', 'float32'],
    ['s', 'string'],
  ]);
  expect(outputs).toMatchObject([{ name: 'y', values: Float32Array.of(0, 3) }]);
});

test('what the WebAssembly backend cannot run goes to the plain JavaScript one', async () => {
  const graph = new FloatGraph(random)
    .input('x', [2, 3, 4])
    .weights('w', [4, 5])
    .node('y', 'Einsum', ['x', 'w'], { equation: attr.string('abc,cd->abd'), N: attr.int(2) })
    .build('y');
  const feeds = drawFeeds(graph, random);
  const [expected] = await execute(graph, feeds);
  const before = tf.memory().numTensors;
  const [first, second] = await withSession(graph, async (session) => {
    expect(tf.getBackend()).toBe('wasm');
    const sample = toSample(feeds);
    return [await session.predict(sample), await session.predict(sample)].flat();
  });
  expect(tf.memory().numTensors).toBe(before);
  for (const { shape, values } of [first, second]) {
    expect(shape).toEqual(expected.shape);
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(expected.values[i], 5);
    });
  }
});

test('what no backend can run fails with the error of TF.js', async () => {
  const graph = new FloatGraph(random).input('x', [2]).node('y', 'NoSuchOp', ['x']).build('y');
  const predicting = withSession(graph, (session) => session.predict({ x: tensor([1, 2]) }));
  await expect(predicting).rejects.toThrow(/NoSuchOp/);
});

test('an input that has a value may be left out, or given', async () => {
  const shape = { shape: shapeToJson([1]) };
  const graph = new FloatGraph(random)
    .input('x', [2])
    .constant('default', [1], [10])
    .node('ratio', 'PlaceholderWithDefault', ['default'], { dtype: attr.dtype('float32'), shape })
    .node('y', 'Mul', ['x', 'ratio'])
    .build('y');
  const ratio = { name: 'ratio', ref: { node: 'ratio', index: 0 }, dtype: 'float32' as const, shape: [1] };
  await withSession({ ...graph, inputs: [...graph.inputs, ratio] }, async (session) => {
    expect(session.inputs.map(({ name, optional }) => [name, optional])).toEqual([
      ['x', undefined],
      ['ratio', true],
    ]);
    const x = tensor([1, 2]);
    expect((await session.predict({ x }))[0].values).toEqual(Float32Array.of(10, 20));
    expect((await session.predict({ x, ratio: tensor([3]) }))[0].values).toEqual(Float32Array.of(3, 6));
    await expect(session.predict({ ratio: tensor([3]) })).rejects.toThrow(/no tensor for input 'x'/);
  });
});

test('dtype and shape of an input are those of its own node, whatever the order of the signature', async () => {
  const graph = new FloatGraph(random)
    .node('codes', 'Placeholder', [], { dtype: attr.dtype('int32'), shape: { shape: shapeToJson([3]) } })
    .node('real', 'Cast', ['codes'], { SrcT: attr.dtype('int32'), DstT: attr.dtype('float32') })
    .input('x', [3])
    .node('y', 'Add', ['x', 'real'])
    .build('y');
  const codes = { name: 'b', ref: { node: 'codes', index: 0 }, dtype: 'int32' as const, shape: [3] };
  const inputs = [{ ...graph.inputs[0], name: 'a' }, codes];
  await withSession({ ...graph, inputs }, async (session) => {
    expect(session.inputs).toEqual([
      { name: 'a', dtype: 'float32', shape: [3] },
      { name: 'b', dtype: 'int32', shape: [3] },
    ]);
    const b = { dtype: 'int32' as const, shape: [3], values: Int32Array.of(1, 2, 3) };
    const [{ values }] = await session.predict({ a: tensor([0.5, 0.5, 0.5]), b });
    expect(values).toEqual(Float32Array.of(1.5, 2.5, 3.5));
  });
});
