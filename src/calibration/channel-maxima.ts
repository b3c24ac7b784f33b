/** The largest |x| of every channel (last axis) of some tensors over calibration data. */
import type * as tf from '@tensorflow/tfjs-core';
import { refKey } from '../graph/edit';
import type { Graph, TensorRef } from '../graph/ir';
import { firstSamples, type SampleSource } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';
import { runSamples } from '../tfjs/run-samples';
import { withoutInfinities } from './infinities';

function enlarge(maxima: Float64Array, values: Float32Array): void {
  const channels = maxima.length;
  for (let row = 0; row < values.length; row += channels) {
    for (let channel = 0; channel < channels; channel++) {
      const magnitude = Math.abs(values[row + channel]);
      if (magnitude > maxima[channel]) maxima[channel] = magnitude;
    }
  }
}

/**
 * @param tensors float32 tensors, each named once
 * @param options.samples how many samples to use at most
 * @returns by `node:index`
 */
export async function measureChannelMaxima(
  graph: Graph,
  tensors: readonly TensorRef[],
  source: SampleSource,
  { samples, signal }: { samples: number; signal?: AbortSignal },
): Promise<ReadonlyMap<string, Float64Array>> {
  const maxima = new Map<string, Float64Array>();
  const enlarged = (tensor: tf.Tensor, i: number) => {
    const key = refKey(tensors[i]);
    const known = maxima.get(key) ?? new Float64Array(tensor.shape.at(-1) ?? 1);
    maxima.set(key, known);
    enlarge(known, withoutInfinities(tensor.dataSync() as Float32Array));
  };
  await withBackend(await importBackend(), () =>
    runSamples(graph, firstSamples(source(graph.inputs), samples), tensors, enlarged, signal),
  );
  return maxima;
}
