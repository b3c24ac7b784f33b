/**
 * Channel means of the quantized model, layer by layer: what sequential bias correction compares with the float means.
 *
 * A layer's correction changes what later layers read. So the layers are taken by their depth: those that no uncorrected
 * layer precedes have their inputs measured in the model up to there, quantized and corrected; then they are corrected
 * themselves.
 */
import { install } from '../../../../../kernels/register';
import { yieldToCancel } from '../../../../base/cancelled';
import { ChannelMeanObserver } from '../../../../calibration/observers/channel-mean';
import { refKey } from '../../../../graph/edit';
import type { Graph, Sample, TensorRef } from '../../../../graph/ir';
import { firstSamples, type SampleSource } from '../../../../graph/samples';
import type { WeightOptions } from '../../../../passes/quantize/lower/weight-options';
import { planQuantization, type QuantizationPlan } from '../../../../passes/quantize/plan/plan';
import type { Step } from '../../../../passes/quantize/plan/steps';
import { quantizeGraph } from '../../../../passes/quantize/quantize-graph';
import { removeDeadNodes } from '../../../../passes/remove-dead-nodes';
import type { Observations } from '../../../../quantization/observations';
import { importBackend, withBackend } from '../../../../tfjs/backends';
import { runSamples } from '../../../../tfjs/run-samples';

/** They are kept in memory, as they are run once a layer. */
const MAX_SAMPLES = 64;

export interface QuantizedMeansOptions extends WeightOptions {
  /** How many samples to use at most; never more than 64. */
  samples?: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/** Inputs of weighted layers by the number of weighted layers on the longest path to them; not those of the first ones. */
function inputsByDepth(graph: Graph, plan: QuantizationPlan): TensorRef[][] {
  const weighted = new Map<string, TensorRef>();
  for (const step of plan.regions.flatMap((r) => r.steps)) {
    if (step.kind === 'op' && step.quantizable.kind === 'weighted')
      weighted.set(step.node.name, step.quantizable.activations[0]);
  }
  const depths = new Map<string, number>();
  const groups: Map<string, TensorRef>[] = [];
  for (const node of graph.nodes.values()) {
    const before = Math.max(0, ...node.inputs.map((i) => depths.get(i.node)!));
    const input = weighted.get(node.name);
    depths.set(node.name, before + (input ? 1 : 0));
    if (!input || before === 0) continue;
    groups[before] ??= new Map();
    groups[before].set(refKey(input), input);
  }
  return Object.values(groups).map((group) => [...group.values()]);
}

/** Stores codes even where the graph is cut off and float32 values would leave. */
function storingCodes(step: Step): Step {
  return step.kind === 'op' ? { ...step, store: { ...step.store, float: false } } : step;
}

/** The quantized model up to some tensors of it. */
function quantizedPrefix(
  graph: Graph,
  { float, precisions }: QuantizationPlan,
  refs: readonly TensorRef[],
  observations: Observations,
  options: WeightOptions,
): Graph {
  const outputs = refs.map((ref) => ({ name: refKey(ref), ref, dtype: 'float32' as const }));
  const prefix = removeDeadNodes.apply({ ...graph, outputs }).graph;
  const plan = planQuantization(prefix, { float, precisions });
  const regions = plan.regions.map((region) => ({ ...region, steps: region.steps.map(storingCodes) }));
  return quantizeGraph(prefix, { ...plan, regions }, observations, options).graph;
}

/** Means of every channel, sample by sample. */
type SampleMeans = readonly Float64Array[];

/**
 * Channel means of some tensors.
 *
 * @param keys their keys in the result, in the order of `refs`
 */
async function channelMeans(
  graph: Graph,
  refs: readonly TensorRef[],
  keys: readonly string[],
  samples: readonly Sample[],
): Promise<Map<string, SampleMeans>> {
  const means = new Map(keys.map((key): [string, Float64Array[]] => [key, []]));
  await runSamples(graph, samples, refs, (tensor, i) => {
    const observer = new ChannelMeanObserver(tensor.shape.at(-1)!);
    observer.observe(tensor.dataSync() as Float32Array);
    means.get(keys[i])!.push(observer.means());
  });
  return means;
}

/** Standard errors within which a shift may be chance. */
const DOUBTFUL = 2;

/**
 * The mean difference of paired values, drawn to zero as far as their spread makes it doubtful: what some samples show
 * by chance would be noise in all others.
 *
 * @see James and Stein 1961; the factor is that of the positive part, for one mean and a wider margin
 */
export function shrunkenShift(differences: readonly number[]): number {
  const count = differences.length;
  if (count < 2) return differences[0] ?? 0;
  const mean = differences.reduce((sum, d) => sum + d, 0) / count;
  const squares = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0);
  const varianceOfMean = squares / (count - 1) / count;
  return mean === 0 ? 0 : mean * Math.max(0, 1 - (DOUBTFUL ** 2 * varianceOfMean) / mean ** 2);
}

/**
 * Measures the mean of every channel that a weighted layer of the quantized model reads: the float model's mean over
 * all of the calibration data, and what quantization adds to it on some samples. Only the shift is measured, and on the
 * same samples in both: means of different samples differ by more than quantization makes them.
 *
 * @param graph the optimized float graph
 * @param plan how it is quantized
 * @param observations ranges, and the means of the float model
 * @returns means by `node:index`, for `Observations.quantizedMeans`
 */
export async function measureQuantizedMeans(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  source: SampleSource,
  { samples: limit = MAX_SAMPLES, onProgress, signal, ...options }: QuantizedMeansOptions = {},
): Promise<ReadonlyMap<string, Float64Array>> {
  install();
  const samples: Sample[] = [];
  for await (const sample of firstSamples(source(graph.inputs), Math.min(limit, MAX_SAMPLES)))
    samples.push(sample);
  const groups = inputsByDepth(graph, plan);
  const inputs = groups.flat();
  const quantizedMeans = new Map<string, Float64Array>();
  await withBackend(await importBackend(), async () => {
    const floatMeans = await channelMeans(graph, inputs, inputs.map(refKey), samples);
    for (const [index, refs] of groups.entries()) {
      await yieldToCancel(signal);
      const prefix = quantizedPrefix(graph, plan, refs, { ...observations, quantizedMeans }, options);
      const outputs = prefix.outputs.map((o) => o.ref);
      const shifted = await channelMeans(prefix, outputs, refs.map(refKey), samples);
      for (const [key, after] of shifted) {
        const before = floatMeans.get(key)!;
        const shift = (c: number) => shrunkenShift(after.map((means, i) => means[c] - before[i][c]));
        quantizedMeans.set(
          key,
          observations.means.get(key)!.map((mean, c) => mean + shift(c)),
        );
      }
      onProgress?.(index + 1, groups.length);
    }
  });
  return quantizedMeans;
}
