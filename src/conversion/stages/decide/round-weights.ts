/** INT8 weights with error feedback: which layers get it, and their codes. */
import { MAX_ROWS, measurable, measureHessians } from '../../../calibration/hessians';
import { refKey } from '../../../graph/edit';
import { type LinearOp, weightsPerChannel } from '../../../passes/linear-op';
import { programChannel, reorderForNow } from '../../../passes/quantize/lower/filter-order';
import { weightedOps } from '../../../passes/quantize/plan/low-bit-layers';
import { chooseAffine, type FilterCodes, quantizeFilter } from '../../../quantization/affine';
import type { Observations } from '../../../quantization/observations';
import { roundWithFeedback } from '../../../quantization/round-with-feedback';
import type { Settings } from '../../settings';
import type { WeightPlan } from '../../stage-results';
import { layerInput } from './encode-weights';

/** Depthwise windows are too small for one weight to compensate another. */
function int8Layers({ graph, plan, layers }: WeightPlan): LinearOp[] {
  return weightedOps(graph, plan).filter((op) => !layers.has(op.node.name) && op.kind !== 'depthwise');
}

function layersWithFeedback(model: WeightPlan): LinearOp[] {
  const isMeasurable = measurable(model.graph);
  return int8Layers(model).filter((op) => isMeasurable(weightsPerChannel(op)));
}

/** Layers whose matrices of second moments would take too much memory, or time. */
export function layersWithoutFeedback(model: WeightPlan): string[] {
  const isMeasurable = measurable(model.graph);
  const ops = [...int8Layers(model), ...[...model.layers.values()].map(({ op }) => op)];
  return ops.flatMap((op) => (isMeasurable(weightsPerChannel(op)) ? [] : [op.node.name]));
}

/** Multiply-accumulates that error feedback takes: second moments of so many samples, and their factors. */
export function feedbackMacs(model: WeightPlan, samples: number): number {
  return layersWithFeedback(model).reduce((sum, op) => {
    const depth = weightsPerChannel(op);
    return sum + samples * MAX_ROWS * depth ** 2 + depth ** 3 / 3;
  }, 0);
}

/**
 * Rounds the weights of the INT8 layers of a plan so that each compensates the errors of those before it.
 *
 * @returns by node, in the program's order; layers without feedback are absent
 */
export async function roundWeights(
  model: WeightPlan,
  { ranges }: Observations,
  { data, samples, weightRange, report, signal }: Settings,
): Promise<ReadonlyMap<string, FilterCodes>> {
  const { graph } = model;
  const ops = layersWithFeedback(model);
  const byName = new Map(ops.map((op) => [op.node.name, op]));
  const rounded = new Map<string, FilterCodes>();
  const inputs = ops.map((op) => layerInput(op, undefined));
  const onProgress = (done: number, total: number) => report('encode weights', done, total);
  await measureHessians(graph, inputs, data!, { samples, signal, onProgress }, (name, hessian) => {
    const op = byName.get(name)!;
    const values = reorderForNow(op);
    const { scale } = chooseAffine(ranges.get(refKey(op.input))!);
    const { scales } = quantizeFilter(values, programChannel(op), op.channels, op.bias, scale, weightRange);
    rounded.set(name, roundWithFeedback(values, scales, hessian!));
  });
  return rounded;
}
