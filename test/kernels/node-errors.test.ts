// @needs engine
/** What fails in a node of a converted model is told with the names of the node and, where one is to blame, of the op. */
import '@tensorflow/tfjs-backend-cpu';
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../../src/base/errors';
import { toModelArtifacts } from '../../src/graph/encode-graph-model';
import type { Graph } from '../../src/graph/ir';
import '../../src/index.node';
import { currentEngine, engineInfo, setMaxMemory } from '../../src/runtime/current-engine';
import { FloatGraph, windowAttrs } from '../support/float-graph';
import { quantize } from '../support/quantize';
import { randomOf } from '../support/random';

/** Two convolutions without padding over pictures of any size, the second of 5x5. */
function openSizes(): Graph {
  return new FloatGraph(randomOf('node errors', 0))
    .input('x', [-1, -1, -1, 2])
    .weights('a/filter', [1, 1, 2, 4])
    .node('a', 'Conv2D', ['x', 'a/filter'], windowAttrs({ padding: 'VALID' }))
    .weights('b/filter', [5, 5, 4, 3])
    .node('b', 'Conv2D', ['a', 'b/filter'], windowAttrs({ padding: 'VALID' }))
    .build('b');
}

async function load(options = { regions: true }): Promise<GraphModel> {
  const { graph } = await quantize(openSizes(), randomOf('node errors', 1), options);
  return loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph) as tf.io.ModelArtifacts));
}

function errorOf(model: GraphModel, shape: [number, number, number, number]): LowbitError {
  try {
    tf.tidy(() => model.execute(tf.zeros(shape)));
  } catch (error) {
    return error as LowbitError;
  }
  throw new Error('It ran.');
}

test('a region that cannot be planned: its name, and the op', async () => {
  const model = await load();
  const error = errorOf(model, [1, 3, 3, 2]);
  expect(error).toBeInstanceOf(LowbitError);
  expect(error.code).toBe('invalid-shape');
  expect(error.message).toMatch(/^QuantizedRegion '[^']+': QuantizedConv2D 'b': input height 3 /);
});

test('a region that needs more memory than is allowed', async () => {
  const model = await load();
  const { maxMemory } = engineInfo();
  setMaxMemory(2 ** 20);
  const error = errorOf(model, [1, 512, 512, 2]);
  setMaxMemory(maxMemory);
  expect(error.code).toBe('out-of-memory');
  expect(error.message).toMatch(/^QuantizedRegion '[^']+': These input shapes need/);
});

test('a node of one op: its name, once', async () => {
  const error = errorOf(await load({ regions: false }), [1, 3, 3, 2]);
  expect(error.code).toBe('invalid-shape');
  expect(error.message).toMatch(/^QuantizedConv2D 'b\/QuantizedConv2D': input height 3 /);
});

test('what nobody has foreseen has a code and the name', async () => {
  const model = await load();
  const compile = jest.spyOn(currentEngine(), 'compile').mockImplementation(() => {
    throw new TypeError('no such thing');
  });
  const error = errorOf(model, [1, 8, 8, 2]);
  compile.mockRestore();
  expect(error.code).toBe('internal');
  expect(error.message).toMatch(/^QuantizedRegion '[^']+' failed: TypeError: no such thing\./);
});
