import type { Graph, Sample } from '../graph/ir';
import type { Output } from '../graph/samples';
import { runSamples } from '../tfjs/run-samples';

export interface TimedOutputs {
  /** By sample. */
  readonly outputs: readonly (readonly Output[])[];
  /** That a sample took, the median; absent where the graph was run in pieces. */
  readonly milliseconds?: number;
}

/** The outputs of a graph for each sample, and the time that they took. */
export async function timedOutputsOf(
  graph: Graph,
  samples: readonly Sample[],
  signal?: AbortSignal,
): Promise<TimedOutputs> {
  const found = graph.outputs.map((): Output[] => []);
  const refs = graph.outputs.map(({ ref }) => ref);
  const milliseconds = await runSamples(
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
  const outputs = samples.map((_, index) => found.flatMap((results) => results[index] ?? []));
  return { outputs, milliseconds };
}

/** The outputs of a graph for each sample. */
export async function outputsOf(...args: Parameters<typeof timedOutputsOf>) {
  return (await timedOutputsOf(...args)).outputs;
}
