/** INT8 weights with error feedback in a conversion: which layers take it, and their codes. */
import { type HessianOptions, MAX_INPUTS, measureHessians } from '../calibration/hessians';
import { refKey } from '../graph/edit';
import type { SampleSource } from '../graph/samples';
import { type LinearOp, weightsPerChannel } from '../passes/linear-op';
import { programChannel, reorder } from '../passes/quantize/lower/filter-order';
import { weightedOps } from '../passes/quantize/plan/low-bit-layers';
import { chooseAffine, type FilterCodes, quantizeFilter } from '../quantization/affine';
import type { Observations } from '../quantization/observations';
import { roundWithFeedback } from '../quantization/round-with-feedback';
import type { WeightRange } from '../quantization/weight-range';
import { layerInput, type WeightPlan } from './weights';

export interface RoundOptions extends HessianOptions {
  /** How the bounds of weights are chosen. */
  weightRange: WeightRange;
}

/** Depthwise windows are too small for one weight to make up for another; very deep rows need too large a matrix. */
function takesFeedback(op: LinearOp): boolean {
  return op.kind !== 'depthwise' && weightsPerChannel(op) <= MAX_INPUTS;
}

/**
 * Rounds the weights of the INT8 layers of a plan so that each makes up for the errors of those before it.
 *
 * @returns by node, in the program's order; layers that take no feedback are absent
 */
export async function roundWeights(
  { graph, plan, layers }: WeightPlan,
  { ranges }: Observations,
  source: SampleSource,
  { weightRange, ...options }: RoundOptions,
): Promise<ReadonlyMap<string, FilterCodes>> {
  const ops = weightedOps(graph, plan).filter((op) => !layers.has(op.node.name) && takesFeedback(op));
  const byName = new Map(ops.map((op) => [op.node.name, op]));
  const rounded = new Map<string, FilterCodes>();
  const inputs = ops.map((op) => layerInput(op, undefined));
  await measureHessians(graph, inputs, source, options, (name, hessian) => {
    const op = byName.get(name)!;
    const values = reorder(op);
    const { scale } = chooseAffine(ranges.get(refKey(op.input))!);
    const { scales } = quantizeFilter(values, programChannel(op), op.channels, op.bias, scale, weightRange);
    rounded.set(name, roundWithFeedback(values, scales, hessian));
  });
  return rounded;
}
