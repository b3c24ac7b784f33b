/** Shapes that tensors have on calibration data, for those that no rule infers: what an op of the user's own gives. */
import type * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import type { DenseTensor, Graph, Sample, TensorRef } from '../graph/ir';
import { firstSamples, type SampleSource } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';
import { runSamples } from '../tfjs/run-samples';

/** Samples whose shapes are compared. */
const SAMPLES = 4;

function doubled({ dtype, shape, values }: DenseTensor): DenseTensor {
  const twice = Array.from(values).concat(Array.from(values));
  const copy = Array.isArray(values) ? twice : (values.constructor as Float32ArrayConstructor).from(twice);
  return { dtype, shape: [2 * shape[0], ...shape.slice(1)], values: copy as Float32Array };
}

/** Each sample, and the first also twice over: what depends on the size of the batch differs between the two. */
async function* varied(graph: Graph, source: SampleSource): AsyncGenerator<Sample> {
  const open = new Set(graph.inputs.filter(({ shape }) => shape?.[0] === -1).map(({ name }) => name));
  let first = true;
  for await (const sample of firstSamples(source(graph.inputs), SAMPLES)) {
    yield sample;
    if (!first || open.size === 0) continue;
    first = false;
    const twice = Object.entries(sample).map(([name, tensor]) => [
      name,
      open.has(name) ? doubled(tensor) : tensor,
    ]);
    yield Object.fromEntries(twice);
  }
}

/**
 * @param refs each tensor once
 * @returns for each the shape it had on all samples, -1 where a size differs or may differ as the inputs' sizes are open;
 *   undefined where the rank differs; none of them where the graph does not run
 * @throws LowbitError 'cancelled' on abort
 */
export async function measureShapes(
  graph: Graph,
  refs: readonly TensorRef[],
  source: SampleSource,
  signal?: AbortSignal,
): Promise<(number[] | undefined)[]> {
  const openSizes = graph.inputs.some(({ shape }) => !shape || shape.slice(1).includes(-1));
  const seen: (number[] | undefined)[] = [];
  const see = ({ shape }: tf.Tensor, index: number) => {
    if (!(index in seen)) seen[index] = shape.map((size) => (openSizes ? -1 : size));
    const before = seen[index];
    seen[index] =
      before?.length === shape.length
        ? before.map((size, axis) => (size === shape[axis] ? size : -1))
        : undefined;
  };
  try {
    await withBackend(await importBackend(), () =>
      runSamples(graph, varied(graph, source), refs, see, signal),
    );
  } catch (error) {
    if (error instanceof LowbitError && error.code === 'cancelled') throw error;
    // Calibration tells what is wrong with the data, or with the graph.
    return [];
  }
  return seen;
}
