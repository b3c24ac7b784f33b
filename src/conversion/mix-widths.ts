/** A mix of widths for the layers of a model, measured on data. */
import type { HessianOptions } from '../calibration/hessians';
import { measureSensitivity } from '../evaluation/sensitivity';
import type { LabelledSource, SampleSource } from '../graph/samples';
import { weightCount } from '../passes/linear-op';
import { weightedOps } from '../passes/quantize/plan/low-bit-layers';
import { FORMAT_OF_BITS, type WeightBits } from '../quantization/layer-weights';
import type { Observations } from '../quantization/observations';
import type { WeightRange } from '../quantization/weight-range';
import { allocateBits, type BitAllocation, type LayerWidths, type WidthOption } from './bit-allocation';
import type { Settings } from './config/settings';
import { bitsOfLayer, encodeWeights, type WeightPlan, withFormats } from './weights';

/** Widest first. */
const WIDTHS: readonly WeightBits[] = [8, 4, 3, 2];

/** Samples that layers are measured on: widths differ by far more than samples do. */
const SAMPLES = 8;

export interface MixOptions extends HessianOptions {
  /** What layers are measured on. */
  validation: LabelledSource;
  /** How the bounds of INT8 weights are chosen. */
  weightRange: WeightRange;
}

/** What every layer of a mix costs at every width. */
async function measureWidths(
  plan: WeightPlan,
  mixed: ReadonlySet<string>,
  observations: Observations,
  source: SampleSource,
  { validation, weightRange, onProgress, ...options }: MixOptions,
): Promise<LayerWidths[]> {
  const widths = new Map<string, WidthOption[]>([...mixed].map((name) => [name, []]));
  const opOf = (name: string) => plan.layers.get(name)!.op;
  for (const [i, bits] of WIDTHS.entries()) {
    const trial = withFormats(plan, (name) => (mixed.has(name) ? FORMAT_OF_BITS[bits] : 'int8'));
    const lowBit = await encodeWeights(trial, observations, source, { ...options, errorFeedback: false });
    const { layers } = await measureSensitivity(plan.graph, plan.plan, observations, validation, {
      weights: { lowBit, weightRange },
      only: mixed,
      samples: SAMPLES,
      signal: options.signal,
    });
    for (const { name, signalToNoise } of layers) {
      const bitsPerWeight = bitsOfLayer(opOf(name), lowBit.get(name)?.matrix);
      widths.get(name)!.push({ bits, bitsPerWeight, signalToNoise });
    }
    onProgress?.(i + 1, WIDTHS.length);
  }
  return [...widths].map(([name, options]) => ({
    name,
    weights: weightCount(opOf(name).filter),
    options,
  }));
}

/** What the weights that are not mixed store: those that a pattern decides on, and those that stay in INT8. */
function fixedWeights({ graph, plan, layers }: WeightPlan, mixed: ReadonlySet<string>) {
  let [weights, storedBits] = [0, 0];
  for (const op of weightedOps(graph, plan)) {
    if (mixed.has(op.node.name)) continue;
    const count = weightCount(op.filter);
    weights += count;
    storedBits += count * bitsOfLayer(op, layers.get(op.node.name)?.weights);
  }
  return { weights, storedBits };
}

/**
 * Chooses widths so that weights have a number of bits on average.
 *
 * @param plan every layer that may be low-bit in it
 * @returns the plan with the formats chosen
 * @throws LowbitError 'invalid-argument' for fewer bits than the narrowest widths have
 */
export async function mixWidths(
  plan: WeightPlan,
  observations: Observations,
  source: SampleSource,
  settings: Settings,
  options: MixOptions,
): Promise<{ plan: WeightPlan; allocation: BitAllocation }> {
  const mixed = new Set([...plan.layers.keys()].filter((name) => !settings.weightsOf(name).byPattern));
  const given = (name: string) => plan.layers.get(name)!.weights.format;
  const layers = await measureWidths(plan, mixed, observations, source, options);
  const fixed = fixedWeights(plan, mixed);
  const allocation = allocateBits(layers, fixed, settings.targetBits!);
  const chosen = new Map(allocation.layers.map(({ name, chosen: bits }) => [name, FORMAT_OF_BITS[bits]]));
  return { plan: withFormats(plan, (name) => chosen.get(name) ?? given(name)), allocation };
}
