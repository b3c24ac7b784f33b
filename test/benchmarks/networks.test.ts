/** @jest-environment <rootDir>/test/support/host-arrays-environment.js */
import '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { NetworkBuilder } from '../../benchmarks/networks/builder';
import { mobilenetV1 } from '../../benchmarks/networks/mobilenet-v1';
import { mobilenetV2 } from '../../benchmarks/networks/mobilenet-v2';
import { pictures } from '../../benchmarks/networks/pictures';
import { Random } from '../../benchmarks/networks/random';
import { resnet50 } from '../../benchmarks/networks/resnet-50';
import { countMacs } from '../../src/graph/count-macs';
import { toModelArtifacts } from '../../src/graph/encode-graph-model';
import { inferShapes } from '../../src/graph/infer-shapes';
import type { DenseTensor, Graph } from '../../src/graph/ir';
import { cosineSimilarity } from '../../src/quantization/metrics';

beforeAll(() => tf.setBackend('wasm'));

function build(network: (build: NetworkBuilder) => Graph): Graph {
  let graph: Graph | undefined;
  tf.tidy(() => {
    graph = network(new NetworkBuilder(new Random(1), pictures(1, 4, 32)));
  });
  return graph!;
}

async function predict(graph: Graph, { values, shape }: DenseTensor): Promise<Float32Array> {
  const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
  const logits = tf.tidy(() => (model.predict(tf.tensor(values, [...shape])) as tf.Tensor).dataSync());
  model.dispose();
  return logits as Float32Array;
}

/** Multiply-accumulates on a picture of 224 x 224, whose layers have 49 times the pixels of one of 32 x 32. */
function megaMacs(graph: Graph): number {
  const [input] = graph.inputs;
  const larger = { ...graph, inputs: [{ ...input, shape: [-1, 224, 224, 3] }] };
  const shapes = inferShapes(larger);
  return [...larger.nodes.values()].reduce((sum, node) => sum + countMacs(larger, shapes, node), 0) / 1e6;
}

// The counts that the papers and the model zoos give.
test.each([
  ['MobileNetV1', mobilenetV1, 569],
  ['MobileNetV2', mobilenetV2, 301],
  ['ResNet-50 v1.5', resnet50, 4089],
])('%s has the multiply-accumulates of the original, and tells pictures apart', async (_, network, macs) => {
  const graph = build(network);
  expect(Math.round(megaMacs(graph))).toBe(macs);
  const logits = await predict(graph, pictures(2, 2, 32));
  const [first, second] = [logits.subarray(0, logits.length / 2), logits.subarray(logits.length / 2)];
  expect(cosineSimilarity(first, second)).toBeLessThan(0.9);
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(0.5);
  expect(largest).toBeLessThan(100);
});

test('the same seed gives the same weights', () => {
  const bytesOf = (graph: Graph) =>
    [...graph.constants.values()].map(({ values }) => Buffer.from(values.buffer));
  expect(
    Buffer.compare(Buffer.concat(bytesOf(build(mobilenetV1))), Buffer.concat(bytesOf(build(mobilenetV1)))),
  ).toBe(0);
});
