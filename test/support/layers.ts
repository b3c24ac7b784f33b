/** Layers models of TF.js with drawn weights: what TF.js predicts, and what the graph read from them computes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type { Graph } from '../../src/graph/ir';
import { readModelArtifacts } from '../../src/graph/read-artifacts';
import { execute } from './float-graph';
import type { Random } from './random';

/** Draws every weight anew: initial ones are often zeros and ones. Variances stay positive. */
export function drawWeights(model: tfl.LayersModel, random: Random): void {
  const drawn = model.weights.map(({ name, shape }) => {
    const [min, max] = name.includes('variance') ? [0.5, 2] : [-1, 1];
    const count = shape.reduce<number>((p, d) => p * d!, 1);
    return tf.tensor(
      Float32Array.from({ length: count }, () => random.real(min, max)),
      shape as number[],
    );
  });
  model.setWeights(drawn);
  tf.dispose(drawn);
}

async function artifactsOf(model: tfl.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  return saved!;
}

/** The same with the topology as JSON writes it. */
export async function savedModel(model: tfl.LayersModel): Promise<tf.io.ModelArtifacts> {
  const { modelTopology, ...rest } = await artifactsOf(model);
  return { ...rest, modelTopology: JSON.parse(JSON.stringify(modelTopology)) };
}

/** Writes a layers model as TF.js does, in one shard, and returns the path of its model.json. */
export async function writeLayersModel(model: tfl.LayersModel, folder: string): Promise<string> {
  const { weightData, weightSpecs, ...topology } = await savedModel(model);
  writeFileSync(join(folder, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
  const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
  const path = join(folder, 'model.json');
  writeFileSync(path, JSON.stringify({ ...topology, format: 'layers-model', weightsManifest }));
  return path;
}

type Data = { shape: number[]; values: Float32Array };

/** Random values for the inputs of a model, in order; open dimensions are 2. */
function drawInputs(model: tfl.LayersModel, random: Random): Data[] {
  return model.inputs.map(({ shape }) => {
    const fixed = shape.map((d) => d ?? 2);
    const count = fixed.reduce((p, d) => p * d, 1);
    return { shape: fixed, values: Float32Array.from({ length: count }, () => random.real(-3, 3)) };
  });
}

function predict(model: tfl.LayersModel, inputs: readonly Data[]): Data[] {
  return tf.tidy(() => {
    const tensors = inputs.map(({ values, shape }) => tf.tensor(values, shape));
    const results = [model.predict(tensors.length === 1 ? tensors[0] : tensors)].flat();
    return results.map((t) => ({ shape: t.shape, values: t.dataSync().slice() as Float32Array }));
  });
}

/** Expects a graph to compute what a model predicts, to 1e-5 of the largest value or of 1. */
export async function expectPrediction(graph: Graph, model: tfl.LayersModel, random: Random): Promise<void> {
  const inputs = drawInputs(model, random);
  const expected = predict(model, inputs);
  const feeds = Object.fromEntries(graph.inputs.map(({ ref }, i) => [ref.node, inputs[i]]));
  const received = await execute(graph, feeds);
  expect(received.map((r) => r.shape)).toEqual(expected.map((e) => e.shape));
  expected.forEach(({ values }, output) => {
    const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
    const error = values.reduce((m, v, i) => Math.max(m, Math.abs(v - received[output].values[i])), 0);
    expect(error / largest).toBeLessThan(1e-5);
    expect(values.some((v) => v !== values[0])).toBe(true);
  });
}

/**
 * Expects the graph read from a saved model to compute what tf.loadLayersModel's model predicts.
 *
 * @param topology what the graph is read from instead, where TF.js cannot load it: of the same weights and function
 */
export async function expectSamePrediction(
  model: tfl.LayersModel,
  random: Random,
  topology?: tf.io.ModelArtifacts['modelTopology'],
): Promise<Graph> {
  await tf.setBackend('cpu');
  drawWeights(model, random);
  const saved = await savedModel(model);
  const graph = await readModelArtifacts(topology ? { ...saved, modelTopology: topology } : saved);
  await expectPrediction(
    graph,
    topology ? model : await tfl.loadLayersModel(tf.io.fromMemory(saved)),
    random,
  );
  return graph;
}
