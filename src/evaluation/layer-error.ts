/** Per-layer evidence: what every layer of a converted model computes, beside the float model's layer, on samples. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import type { LayerRecord } from '../graph/artefact';
import { countMacs } from '../graph/count-macs';
import { refKey } from '../graph/edit';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode, Sample } from '../graph/ir';
import { rotateRows } from '../quantization/hadamard';
import { SignalToNoise } from '../quantization/metrics';
import { LoadedGraph } from '../tfjs/loaded-graph';
import { type LayerTensor, layerBorders, nodesOfLayer, tapGraph } from './layer-tensors';
import { HistogramPair, representable, type ValueHistogram } from './value-histogram';

export interface LayerError {
  /** Name of the node that does the work, in the float graph after folding. */
  readonly name: string;
  readonly op: string;
  /** Ops that run as part of it, a fused activation for one. */
  readonly fused: readonly string[];
  readonly precision: 'int8' | 'dynamic int8' | 'int16' | 'float32';
  /** Bits of the weights and of the result; 32: float. */
  readonly bits: { readonly weights?: number; readonly result: number };
  /** How the weights are stored, if the artefact records it. */
  readonly weights?: {
    /** `int8` or the name of a low-bit format. */
    readonly format: string;
    /** Stored bits of a weight, scales counted. */
    readonly bitsPerWeight: number;
    readonly group?: number;
    readonly rotation?: string;
    /** Why they stay in INT8 although low-bit ones were requested. */
    readonly reason?: string;
  };
  /** Why it stays float. */
  readonly reason?: string;
  /** Multiply-accumulates for one sample. */
  readonly macs: number;
  /** Bytes of weights, biases and scales. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Signal-to-noise of the result against the float model, in dB: the noise of this layer and of all before it. */
  readonly signalToNoise: number;
  /** Signal-to-noise of the rounded weights, in dB. */
  readonly weightSignalToNoise?: number;
  /** Bounds of the float values seen. */
  readonly range: { readonly min: number; readonly max: number };
  /** Share of the codes between the lowest and the highest that were seen, in percent. */
  readonly rangeUsed?: number;
  /** Share of the float values that the codes cannot hold, in percent. */
  readonly clipped?: number;
  readonly histogram: ValueHistogram;
}

export interface LayerErrorOptions {
  /** Channels of the converted model were rescaled: values of the float model are brought to its scales. */
  equalized?: boolean;
  /** How many samples to run at most. Default 8. */
  samples?: number;
  onProgress?(done: number): void;
  signal?: AbortSignal;
}

/** Tensors of this many elements at most are held at a time, unless a single one has more. */
const ELEMENTS_AT_A_TIME = 2 ** 24;

const DEFAULT_SAMPLES = 8;

class Bounds {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;

  add(values: Float32Array): void {
    for (let i = 0; i < values.length; i++) {
      if (values[i] < this.min) this.min = values[i];
      if (values[i] > this.max) this.max = values[i];
    }
  }
}

/** The factor of each channel (last axis) that brings `float` nearest to `converted`, in the mean square. */
function fitChannels(float: Float32Array, converted: Float32Array, channels: number): Float64Array {
  const products = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let i = 0; i < float.length; i++) {
    products[i % channels] += float[i] * converted[i];
    squares[i % channels] += float[i] ** 2;
  }
  return products.map((product, c) => (squares[c] > 0 && product > 0 ? product / squares[c] : 1));
}

/** What is seen of one layer, sample after sample. */
class LayerWatch {
  private readonly noise = new SignalToNoise();
  private readonly bounds = { float: new Bounds(), quantized: new Bounds() };
  private histogram: HistogramPair | undefined;

  private scales: Float64Array | undefined;

  /** @param channels whose scales are found on the first sample; absent: they are those of the float model */
  constructor(
    readonly tensor: LayerTensor,
    private readonly channels?: number,
  ) {}

  add(real: Float32Array, quantized: Float32Array): void {
    const float = this.rescaled(real, quantized);
    this.noise.add(float, quantized);
    this.bounds.float.add(float);
    this.bounds.quantized.add(quantized);
    this.histogram ??= this.newHistogram();
    this.histogram.add(float, quantized);
  }

  private rescaled(float: Float32Array, quantized: Float32Array): Float32Array {
    if (this.channels === undefined) return float;
    this.scales ??= fitChannels(float, quantized, this.channels);
    const { scales } = this;
    return float.map((value, i) => value * scales[i % scales.length]);
  }

  /** Over the codes' range; real values have none, and take that of the first sample. */
  private newHistogram(): HistogramPair {
    const { codes } = this.tensor;
    if (codes) return new HistogramPair(...representable(codes));
    const { min, max } = this.bounds.float;
    return max > min ? new HistogramPair(min, max + (max - min) * 1e-6) : new HistogramPair(min - 1, min + 1);
  }

  get seen(): boolean {
    return this.histogram !== undefined;
  }

  result() {
    const { codes } = this.tensor;
    const { float, quantized } = this.bounds;
    return {
      signalToNoise: this.noise.decibels,
      range: { min: float.min, max: float.max },
      ...(codes && {
        rangeUsed: (100 * (quantized.max - quantized.min)) / (codes.scale * (2 ** codes.bits - 1)),
        clipped: this.histogram!.outside,
      }),
      histogram: this.histogram!.result(),
    };
  }
}

/** Splits watches so that the tensors of a group fit in memory together. */
function groupsOf(watches: readonly LayerWatch[], shapes: Shapes): LayerWatch[][] {
  const groups: LayerWatch[][] = [];
  let room = 0;
  for (const watch of watches) {
    const shape = shapes.get(refKey(watch.tensor.float)) ?? [];
    const elements = shape.reduce((product, dim) => product * Math.abs(dim), 1);
    if (groups.length === 0 || elements > room) {
      groups.push([]);
      room = ELEMENTS_AT_A_TIME;
    }
    groups.at(-1)!.push(watch);
    room -= elements;
  }
  return groups;
}

function floatValues(tensor: Tensor): Float32Array | undefined {
  return tensor.dtype === 'float32' ? (tensor.dataSync() as Float32Array) : undefined;
}

/** What the converted model is to compute: the float model's values, rotated where it rotates them. */
function asConverted(
  { rotatedResult }: LayerRecord,
  values: Float32Array | undefined,
  depth: number | undefined,
): Float32Array | undefined {
  if (!rotatedResult || !values || !depth) return values;
  return rotateRows(values, values.length / depth, depth, rotatedResult);
}

async function compareGroup(
  models: { float: LoadedGraph; converted: LoadedGraph },
  group: readonly LayerWatch[],
  sample: Sample,
): Promise<void> {
  const expected: (Float32Array | undefined)[] = [];
  const tensors = group.map(({ tensor }) => tensor);
  await models.float.run(
    sample,
    tensors.map(({ float }) => float),
    (tensor, i) => expected.push(asConverted(tensors[i].record, floatValues(tensor), tensor.shape.at(-1))),
  );
  await models.converted.run(
    sample,
    tensors.map(({ converted }) => converted),
    (tensor, i) => {
      const received = floatValues(tensor);
      const reference = expected[i];
      if (received && reference?.length === received.length) group[i].add(reference, received);
    },
  );
}

/** Bytes of a layer's float weights, and of the same quantized: codes with scales, and a bias of 4 bytes per channel. */
function bytesOfLayer(
  float: Graph,
  nodes: readonly GraphNode[],
  channels: number,
  quantized: boolean,
  bitsPerWeight: number | undefined,
) {
  const names = new Set(nodes.flatMap(({ inputs }) => inputs.map(({ node }) => node)));
  const weights = [...names]
    .flatMap((name) => float.constants.get(name) ?? [])
    .filter(({ dtype }) => dtype === 'float32');
  const before = weights.reduce((sum, { values }) => sum + values.byteLength, 0);
  if (!quantized) return { before, after: before };
  const filters = weights.filter(({ shape }) => shape.length > 1);
  const stored = ({ length }: Constant['values']) =>
    bitsPerWeight === undefined ? length + 4 * channels : (length * bitsPerWeight) / 8;
  return {
    before,
    after: filters.reduce((sum, { values }) => sum + Math.round(stored(values)) + 4 * channels, 0),
  };
}

/** Whole bits of the codes of a format: `pi3` has 3. */
function codeBits({ weights, precision }: LayerRecord): number {
  if (precision === 'int16') return 16;
  return weights === undefined ? 8 : Number(/\d+$/.exec(weights)?.[0] ?? 8);
}

function weightsOf({ weights, bitsPerWeight, group, rotation, weightsReason }: LayerRecord) {
  if (weights === undefined || bitsPerWeight === undefined) return {};
  return {
    weights: {
      format: weights,
      bitsPerWeight,
      ...(group !== undefined && { group }),
      ...(rotation !== undefined && { rotation }),
      ...(weightsReason !== undefined && { reason: weightsReason }),
    },
  };
}

/** What is known of a layer without running it. */
function describe(tensor: LayerTensor, float: Graph, shapes: Shapes, borders: ReadonlySet<string>) {
  const { record, codes, region } = tensor;
  const nodes = region ? nodesOfLayer(float, tensor.float, borders) : [float.nodes.get(record.name)!];
  const macs = nodes.reduce((sum, node) => sum + countMacs(float, shapes, node), 0);
  const channels = shapes.get(refKey(tensor.float))?.at(-1) ?? 1;
  const result = codes?.bits ?? 32;
  return {
    name: record.name,
    op: record.op,
    fused: nodes.filter(({ name }) => name !== record.name).map(({ op }) => op),
    precision:
      region && (result < 32 || macs > 0) ? (record.precision as LayerError['precision']) : 'float32',
    bits: { ...(macs > 0 && { weights: region ? codeBits(record) : 32 }), result },
    ...weightsOf(record),
    ...(record.reason !== undefined && { reason: record.reason }),
    macs,
    bytes: bytesOfLayer(float, nodes, channels, region !== undefined, record.bitsPerWeight),
    ...(record.weightSignalToNoise !== undefined && { weightSignalToNoise: record.weightSignalToNoise }),
  } as const;
}

/**
 * Runs a float graph and its converted form, and compares the result of every layer.
 *
 * @param float the graph that was quantized, after folding
 * @param converted as `readModel` reads it
 * @returns in the order of execution; layers without a float32 result, or of another size, are left out
 * @throws LowbitError 'cancelled' on abort
 */
export async function layerErrors(
  float: Graph,
  converted: Graph,
  samples: AsyncIterable<Sample>,
  options: LayerErrorOptions = {},
): Promise<LayerError[]> {
  const { samples: limit = DEFAULT_SAMPLES, signal } = options;
  const tapped = tapGraph(converted, float);
  const shapes = inferShapes(float);
  const watches = tapped.tensors.map((tensor) => {
    const channels = shapes.get(refKey(tensor.float))?.at(-1) ?? 1;
    return new LayerWatch(tensor, options.equalized ? Math.max(channels, 1) : undefined);
  });
  const groups = groupsOf(watches, shapes);
  const models = { float: await LoadedGraph.load(float), converted: await LoadedGraph.load(tapped.graph) };
  let done = 0;
  try {
    for await (const sample of samples) {
      for (const group of groups) {
        await yieldToCancel(signal);
        await compareGroup(models, group, sample);
      }
      done++;
      options.onProgress?.(done);
      if (done >= limit) break;
    }
  } finally {
    models.float.dispose();
    models.converted.dispose();
  }
  const borders = layerBorders(tapped);
  return watches
    .filter((watch) => watch.seen)
    .map((watch) => ({ ...describe(watch.tensor, float, shapes, borders), ...watch.result() }));
}
