/**
 * Low-bit weights in a conversion: which layers take them, what rotates their inputs, and their codes.
 */

import { yieldToCancel } from '../base/cancelled';
import { type HessianOptions, type LayerInput, measureHessians } from '../calibration/hessians';
import type { Graph } from '../graph/ir';
import type { SampleSource } from '../graph/samples';
import { foldRotations } from '../passes/fold-rotations';
import { type LinearOp, weightCount, weightsPerChannel } from '../passes/linear-op';
import type { Change } from '../passes/pass';
import type { EncodedLayer } from '../passes/quantize/lower/encode-layer';
import {
  encodeLayer,
  type LayerFormat,
  rotationHelps,
  statisticsOf,
} from '../passes/quantize/lower/encode-layer';
import { windowOf } from '../passes/quantize/lower/window';
import { type LowBitLayer, selectLowBit, weightedOps } from '../passes/quantize/plan/low-bit-layers';
import { planQuantization, type QuantizationPlan } from '../passes/quantize/plan/plan';
import { bitsPerWeight } from '../quantization/formats/bits-per-weight';
import type { FormatName } from '../quantization/formats/format';
import type { Rotation } from '../quantization/hadamard';
import { FORMAT_OF_BITS, type WeightsName } from '../quantization/layer-weights';
import type { Observations } from '../quantization/observations';
import type { Settings } from './config/settings';

/** Any would do; layers that read the same tensor share its rotation. */
export const ROTATION_SEED = 1;

/** What rotations of a mix are judged by, before the widths are known. */
const MIX_FORMAT = FORMAT_OF_BITS[3] as FormatName;

/** How the weights of a layer are stored. */
export interface WeightRecord {
  readonly weights: WeightsName;
  /** Stored bits of a weight, scales counted. */
  readonly bitsPerWeight: number;
  /** Inputs that share a scale, of low-bit weights; 0: all. */
  readonly group?: number;
  /** What rotates the layer's input: an op before it, or the weights of the layers that compute it. */
  readonly rotation?: 'computed' | 'folded';
  /** Why the weights stay in INT8 though low-bit ones were asked for. */
  readonly weightsReason?: string;
}

/** A graph and its plan, and what becomes of the weights. */
export interface WeightPlan {
  /** The graph, with the rotations in it that cost nothing. */
  readonly graph: Graph;
  readonly plan: QuantizationPlan;
  /** Layers with low-bit weights, by node; of a mix, those whose width is to be chosen. */
  readonly layers: ReadonlyMap<string, LowBitLayer>;
  /** Layers that were asked to be low-bit and stay in INT8, and why. */
  readonly kept: ReadonlyMap<string, string>;
  /** What rotates the inputs of layers in the program, by node. */
  readonly rotations: ReadonlyMap<string, Rotation>;
  /** Layers whose inputs come rotated. */
  readonly folded: ReadonlySet<string>;
  /** Nodes that compute what they do in the float model, rotated. */
  readonly rotatedResults: ReadonlyMap<string, Rotation>;
  readonly changes: readonly Change[];
}

function askedWeights(settings: Settings) {
  return (name: string) => {
    const asked = settings.weightsOf(name);
    const mixed = settings.targetBits !== undefined && !asked.byPattern;
    return mixed ? { ...asked, format: MIX_FORMAT } : asked;
  };
}

function select(graph: Graph, plan: QuantizationPlan, settings: Settings) {
  const mix = settings.targetBits !== undefined;
  const { layers, kept } = selectLowBit(graph, plan, askedWeights(settings), { ends: mix });
  // A mix asks for nothing but the average.
  const told = mix ? [...kept].filter(([name]) => settings.weightsOf(name).byPattern) : kept;
  return { layers, kept: new Map(told) };
}

/** What would rotate the inputs of layers: of low-bit ones where it helps, of INT8 ones where a pattern says so. */
function wantedRotations(
  graph: Graph,
  plan: QuantizationPlan,
  layers: WeightPlan['layers'],
  settings: Settings,
): Map<string, Rotation> {
  const wanted = new Map<string, Rotation>();
  for (const op of weightedOps(graph, plan)) {
    const { name } = op.node;
    const { block, rotateByPattern } = settings.weightsOf(name);
    if (block === 0) continue;
    const rotation = { block, seed: ROTATION_SEED };
    const layer = layers.get(name);
    if (layer ? rotationHelps(op, formatOf(layer.weights, rotation)) : rotateByPattern)
      wanted.set(name, rotation);
  }
  return wanted;
}

/** Chooses the layers and their rotations, before anything is observed. */
export function planWeights(graph: Graph, plan: QuantizationPlan, settings: Settings): WeightPlan {
  const { layers, kept } = select(graph, plan, settings);
  const wanted = wantedRotations(graph, plan, layers, settings);
  const against = new Set([...layers.keys()].filter((name) => !wanted.has(name)));
  const { folded, results, changes, ...rewritten } = foldRotations(graph, plan.shapes, wanted, against);
  const whole = folded.size === 0 ? plan : planQuantization(rewritten.graph, { float: plan.float });
  const computed = [...wanted].filter(([name]) => layers.has(name) && !folded.has(name));
  return {
    graph: rewritten.graph,
    plan: whole,
    layers: folded.size === 0 ? layers : select(rewritten.graph, whole, settings).layers,
    kept,
    rotations: new Map(computed),
    folded,
    rotatedResults: results,
    changes,
  };
}

function formatOf({ format, group }: LowBitLayer['weights'], rotation: Rotation | undefined): LayerFormat {
  return { format: format as FormatName, group, rotation };
}

/** What a convolution or a matrix product multiplies its weights by. */
export function layerInput(op: LinearOp, rotation: Rotation | undefined): LayerInput {
  const window = op.kind === 'conv' ? windowOf(op.node, [op.filter.shape[0], op.filter.shape[1]]) : undefined;
  return {
    name: op.node.name,
    ref: op.input,
    depth: weightsPerChannel(op),
    ...(rotation && { rotation }),
    ...(typeof window === 'object' && { window }),
  };
}

export interface EncodeOptions extends HessianOptions {
  errorFeedback: boolean;
}

/** For `observedTensors`: the rotation of each low-bit layer's input, undefined for one that is read as it is. */
export function inputRotations({ layers, rotations }: WeightPlan): Map<string, Rotation | undefined> {
  return new Map([...layers.keys()].map((name) => [name, rotations.get(name)]));
}

/** Encodes the weights of all layers of a plan, each for the least error of its outputs. */
export async function encodeWeights(
  { graph, layers, rotations }: WeightPlan,
  observations: Observations,
  source: SampleSource,
  { errorFeedback, ...options }: EncodeOptions,
): Promise<ReadonlyMap<string, EncodedLayer>> {
  const encoded = new Map<string, EncodedLayer>();
  const encode = (name: string, hessian?: Float64Array) => {
    const { op, weights } = layers.get(name)!;
    const rotation = rotations.get(name);
    const statistics = { ...statisticsOf(op, rotation, observations), hessian };
    encoded.set(name, encodeLayer(op, formatOf(weights, rotation), statistics));
  };
  if (errorFeedback) {
    const inputs = [...layers].map(([name, { op }]) => layerInput(op, rotations.get(name)));
    await measureHessians(graph, inputs, source, options, encode);
    return encoded;
  }
  for (const name of layers.keys()) {
    await yieldToCancel(options.signal);
    encode(name);
    options.onProgress?.(encoded.size, layers.size);
  }
  return encoded;
}

/** Stored bits of a weight of a layer, in a format or in INT8, scales counted. */
export function bitsOfLayer(
  op: Pick<LinearOp, 'filter' | 'channels'>,
  { format, group }: { format: WeightsName; group: number } = { format: 'int8', group: 0 },
): number {
  const depth = weightsPerChannel(op);
  return format === 'int8' ? 8 + 32 / depth : bitsPerWeight({ format, rows: op.channels, depth, group });
}

/** The plan with other formats for its layers; those that get INT8 are in it no more. */
export function withFormats(plan: WeightPlan, formatOfLayer: (name: string) => WeightsName): WeightPlan {
  const layers = new Map<string, LowBitLayer>();
  for (const [name, { op, weights }] of plan.layers) {
    const format = formatOfLayer(name);
    if (format !== 'int8') layers.set(name, { op, weights: { ...weights, format } });
  }
  const rotations = new Map([...plan.rotations].filter(([name]) => layers.has(name)));
  return { ...plan, layers, rotations };
}

/** How each weighted layer of a plan is stored, for records of it. */
export function weightRecords(
  { graph, plan, layers, kept, rotations, folded }: WeightPlan,
  encoded: ReadonlyMap<string, EncodedLayer>,
): Map<string, WeightRecord> {
  const records = weightedOps(graph, plan).map((op): [string, WeightRecord] => {
    const { name } = op.node;
    const layer = encoded.get(name);
    const reason = kept.get(name);
    const rotation = rotations.has(name) ? 'computed' : folded.has(name) ? 'folded' : undefined;
    return [
      name,
      {
        weights: layer?.matrix.format ?? 'int8',
        bitsPerWeight: Math.round(1000 * bitsOfLayer(op, layer?.matrix)) / 1000,
        ...(layer && { group: layers.get(name)!.weights.group }),
        ...(rotation && { rotation }),
        ...(reason && { weightsReason: reason }),
      },
    ];
  });
  return new Map(records);
}

/** Stored bits of a weight on average over all weighted layers of a plan. */
export function averageBits({ graph, plan }: WeightPlan, encoded: ReadonlyMap<string, EncodedLayer>): number {
  let [stored, weights] = [0, 0];
  for (const op of weightedOps(graph, plan)) {
    const count = weightCount(op.filter);
    stored += count * bitsOfLayer(op, encoded.get(op.node.name)?.matrix);
    weights += count;
  }
  return stored / Math.max(weights, 1);
}
