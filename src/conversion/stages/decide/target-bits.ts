/** The strategy `targetBits`: a mix of widths for the layers of a model, measured on data. */
import { measureSensitivity } from '../../../evaluation/sensitivity';
import { weightCount } from '../../../passes/linear-op';
import { type LowBitLayer, weightedOps } from '../../../passes/quantize/plan/low-bit-layers';
import { FORMAT_OF_BITS, type WeightBits, type WeightsName } from '../../../quantization/layer-weights';
import type { Observations } from '../../../quantization/observations';
import { bitsOfLayer } from '../../layer-bits';
import type { BitAllocation, LayerWidths, WidthOption } from '../../report-types';
import { type Settings, weightsOf } from '../../settings';
import type { Int8Model } from '../../stage-results';
import { allocateBits } from './bit-allocation';
import { encodeWeights } from './encode-weights';

/** Widest first. */
const WIDTHS: readonly WeightBits[] = [8, 4, 3, 2];

/** Samples that layers are measured on: widths differ by far more than samples do. */
const SAMPLES = 8;

/** The model with other formats for its layers; those that get INT8 are no longer among them. */
function withFormats(model: Int8Model, formatOfLayer: (name: string) => WeightsName): Int8Model {
  const layers = new Map<string, LowBitLayer>();
  for (const [name, { op, weights }] of model.layers) {
    const format = formatOfLayer(name);
    if (format !== 'int8') layers.set(name, { op, weights: { ...weights, format } });
  }
  const rotations = new Map([...model.rotations].filter(([name]) => layers.has(name)));
  return { ...model, layers, rotations };
}

/** What every layer of a mix costs at every width. */
async function measureWidths(
  model: Int8Model,
  mixed: ReadonlySet<string>,
  observations: Observations,
  settings: Settings,
): Promise<LayerWidths[]> {
  const { validation, weightRange, report, signal } = settings;
  const encoding = { ...settings, errorFeedback: false, report: () => {} };
  const widths = new Map<string, WidthOption[]>([...mixed].map((name) => [name, []]));
  const opOf = (name: string) => model.layers.get(name)!.op;
  for (const [i, bits] of WIDTHS.entries()) {
    const trial = withFormats(model, (name) => (mixed.has(name) ? FORMAT_OF_BITS[bits] : 'int8'));
    const lowBit = await encodeWeights(trial, observations, encoding);
    const { layers } = await measureSensitivity(model.graph, model.plan, observations, validation!, {
      weights: { lowBit, weightRange },
      only: mixed,
      samples: SAMPLES,
      signal,
    });
    for (const { name, signalToNoise } of layers) {
      const bitsPerWeight = bitsOfLayer(opOf(name), lowBit.get(name)?.matrix);
      widths.get(name)!.push({ bits, bitsPerWeight, signalToNoise });
    }
    report('measure layers', i + 1, WIDTHS.length);
  }
  return [...widths].map(([name, options]) => ({
    name,
    weights: weightCount(opOf(name).filter),
    options,
  }));
}

/** Stored bits of the weights that are not mixed: those that a pattern names, and those that stay in INT8. */
function fixedWeights({ graph, plan, layers }: Int8Model, mixed: ReadonlySet<string>) {
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
 * @param model with every layer in it that may be low-bit
 * @returns the model with the formats chosen
 * @throws LowbitError 'invalid-argument' for fewer bits than the narrowest widths have
 */
export async function mixWidths(
  model: Int8Model,
  observations: Observations,
  settings: Settings,
  targetBits: number,
): Promise<{ model: Int8Model; allocation: BitAllocation }> {
  const mixed = new Set([...model.layers.keys()].filter((name) => !weightsOf(settings, name).byPattern));
  const configured = (name: string) => model.layers.get(name)!.weights.format;
  const layers = await measureWidths(model, mixed, observations, settings);
  const allocation = allocateBits(layers, fixedWeights(model, mixed), targetBits);
  const chosen = new Map(allocation.layers.map(({ name, chosen: bits }) => [name, FORMAT_OF_BITS[bits]]));
  return { model: withFormats(model, (name) => chosen.get(name) ?? configured(name)), allocation };
}
