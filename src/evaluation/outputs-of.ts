import type { Graph, Sample } from '../graph/ir';
import type { Output } from '../graph/samples';
import { runSamples } from '../tfjs/run-samples';

/** The outputs of a graph for each sample. */
export async function outputsOf(
  graph: Graph,
  samples: readonly Sample[],
  signal?: AbortSignal,
): Promise<Output[][]> {
  const found = graph.outputs.map((): Output[] => []);
  const refs = graph.outputs.map(({ ref }) => ref);
  await runSamples(
    graph,
    samples,
    refs,
    (tensor, i) => {
      if (tensor.dtype === 'string') return;
      const values = tensor.dataSync() as Float32Array;
      found[i].push({ name: graph.outputs[i].name, shape: tensor.shape, values });
    },
    signal,
  );
  return samples.map((_, index) => found.flatMap((outputs) => outputs[index] ?? []));
}
