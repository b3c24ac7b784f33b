/** Quantizes a float graph on drawn data and runs it through the kernels on TF.js's backend `cpu`. */

import { calibrate } from '../../src/calibration/runner';
import type { DenseTensor, Graph, Sample } from '../../src/graph/ir';
import { lowerRegion } from '../../src/passes/quantize/lower-region';
import { observedTensors } from '../../src/passes/quantize/plan/observed-tensors';
import { type PlanOptions, planQuantization } from '../../src/passes/quantize/plan/plan';
import { quantizeGraph } from '../../src/passes/quantize/quantize-graph';
import { signalToNoise } from '../../src/quantization/metrics';
import type { Observations } from '../../src/quantization/observations';
import '../../src/index.node';
import { runReference } from '../kernels/reference/run-reference';
import { drawFeeds, execute } from './float-graph';
import type { Random } from './random';

export function toSample(feeds: ReturnType<typeof drawFeeds>): Sample {
  const entries = Object.entries(feeds).map(([name, f]): [string, DenseTensor] => [
    name,
    { dtype: 'float32', ...f },
  ]);
  return Object.fromEntries(entries);
}

/** @param given what to calibrate on; default: four drawn samples */
export async function quantize(
  graph: Graph,
  random: Random,
  options?: { regions: boolean },
  given = Array.from({ length: 4 }, () => drawFeeds(graph, random)),
  planning: PlanOptions = {},
) {
  const plan = planQuantization(graph, planning);
  const samples = given.map(toSample);
  const observations = await calibrate(
    graph,
    observedTensors(plan),
    async function* () {
      yield* samples;
    },
    { method: 'minmax' },
  );
  return { plan, observations, graph: quantizeGraph(graph, plan, observations, options).graph };
}

/** Signal-to-noise of each output of a quantized graph against the float graph, in dB, on fresh data. */
export async function fidelity(float: Graph, quantized: Graph, random: Random): Promise<number[]> {
  const feeds = drawFeeds(float, random);
  const [expected, received] = [await execute(float, feeds), await execute(quantized, feeds)];
  expect(received.map((r) => r.shape)).toEqual(expected.map((e) => e.shape));
  return expected.map(({ values }, i) => signalToNoise(values, received[i].values));
}

/** Expects the one region of a graph, the whole of it, to compute what the reference of its program does. */
export async function expectReference(
  graph: Graph,
  observations: Observations,
  random: Random,
  options: PlanOptions = {},
): Promise<void> {
  const plan = planQuantization(graph, options);
  const [region] = plan.regions;
  const builder = lowerRegion(region, plan, observations);
  const program = builder.build();
  const feeds = drawFeeds(graph, random);
  const given = region.inputs.map((ref) => feeds[ref.node]);
  const tensors = runReference(
    program,
    builder.weights.build(),
    given.map(({ values }) => values),
    given.map(({ shape }) => shape),
  );
  const received = await execute(quantizeGraph(graph, plan, observations).graph, feeds, region.outputs);
  program.outputs.forEach((id, i) => {
    expect(received[i].shape).toEqual(tensors[id].shape);
    expect(Array.from(received[i].values)).toEqual(tensors[id].values);
  });
}
