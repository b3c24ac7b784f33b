/** Bits and errors of the low-bit weight formats, on known distributions and on a model's weights. */
import { yieldToCancel } from '../base/cancelled';
import { readModel } from '../graph/read-model';
import { type LinearOp, linearKind, readLinearOp, weightsPerChannel } from '../passes/linear-op';
import { optimize } from '../passes/pipeline';
import { rotatedWeights } from '../passes/quantize/lower/encode-layer';
import { gaussian, laplace } from '../quantization/distributions';
import { bitsPerWeight } from '../quantization/formats/bits-per-weight';
import type { FormatName } from '../quantization/formats/format';
import { FORMATS } from '../quantization/formats/registry';
import { type Rotation, rotateRows } from '../quantization/hadamard';
import { type MeasuredFormat, squaredError, sumOfSquares } from './format-error';

export interface FormatsOptions {
  /** Path or file URL of a float model's model.json, whose weights are measured too. */
  model?: string;
  /** Inputs that share a scale: a multiple of 32, or 0 for the whole row. Default: 128. */
  group?: number;
  /** Block of the rotation: 64, 128 or 256. Default: 128. */
  block?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** Squared error over the weights' sum of squares. */
export interface RotationErrors {
  plain: number;
  /** Of the weights rotated along their input channels. */
  rotated: number;
}

export interface FormatErrors extends RotationErrors {
  /** `pi2-absmax` and `pi3-absmax` cannot be selected for a conversion: their alpha is that of the largest |w| of a channel. */
  format: MeasuredFormat;
  /** Codes, scales, and what a matrix stores once. */
  bitsPerWeight: number;
}

export interface FormatsLayer extends Shape {
  name: string;
  op: string;
  formats: FormatErrors[];
}

export interface FormatsTotal extends FormatErrors {
  /** With rotation of those layers alone where it makes the error smaller. */
  best: number;
  rotatedLayers: number;
}

export interface FormatsReport {
  group: number;
  rotation: Rotation;
  distributions: {
    format: MeasuredFormat;
    bitsPerWeight: number;
    gaussian: RotationErrors;
    laplace: RotationErrors;
  }[];
  model?: {
    layers: FormatsLayer[];
    totals: FormatsTotal[];
    /** Layers with weights that the formats are not for. */
    leftOut: { name: string; reason: string }[];
  };
}

const MEASURED: readonly MeasuredFormat[] = [...FORMATS, 'pi3-absmax', 'pi2-absmax'];

/** Of the matrices of known distributions. */
const ROWS = 256;
const DEPTH = 1024;

const SEED = 1;

interface Shape {
  /** Output channels. */
  readonly rows: number;
  /** Weights of each. */
  readonly depth: number;
}

/** Weights, as they are and rotated. */
interface Subject extends Shape {
  weights(rotation?: Rotation): Float32Array;
}

function drawn(draw: (count: number, seed: number) => Float32Array): Subject {
  const values = draw(ROWS * DEPTH, SEED);
  return {
    rows: ROWS,
    depth: DEPTH,
    weights: (rotation) => (rotation ? rotateRows(values, ROWS, DEPTH, rotation) : values),
  };
}

function subjectOf(op: LinearOp): Subject {
  return {
    rows: op.channels,
    depth: weightsPerChannel(op),
    weights: (rotation) => rotatedWeights(op, rotation),
  };
}

/** Bits as ours would be stored, one float16 scale per channel. */
function bitsOf(format: MeasuredFormat, { rows, depth }: Shape, group: number): number {
  const name = format.replace('-absmax', '') as FormatName;
  return bitsPerWeight({ format: name, rows, depth, group: name === format ? group : 0 });
}

/** Squared errors that are not normalised, and the sum of squares to normalise by. */
interface Measured extends Shape {
  readonly power: number;
  readonly errors: readonly FormatErrors[];
}

async function measure(
  { rows, depth, weights }: Subject,
  group: number,
  rotation: Rotation,
  signal: AbortSignal | undefined,
): Promise<Measured> {
  const plain = { rows, depth, values: weights() };
  const rotated = { rows, depth, values: weights(rotation) };
  const errors: FormatErrors[] = [];
  for (const format of MEASURED) {
    await yieldToCancel(signal);
    errors.push({
      format,
      bitsPerWeight: bitsOf(format, plain, group),
      plain: squaredError(plain, format, group),
      rotated: squaredError(rotated, format, group),
    });
  }
  return { rows, depth, power: sumOfSquares(plain.values), errors };
}

function normalised({ plain, rotated }: RotationErrors, power: number): RotationErrors {
  return power > 0 ? { plain: plain / power, rotated: rotated / power } : { plain: 0, rotated: 0 };
}

function totalsOf(layers: readonly Measured[]): FormatsTotal[] {
  const sum = (numberOf: (layer: Measured) => number) =>
    layers.reduce((total, layer) => total + numberOf(layer), 0);
  const power = sum((layer) => layer.power);
  const count = sum(({ rows, depth }) => rows * depth);
  return MEASURED.map((format, i) => {
    const better = sum(({ errors }) => Math.min(errors[i].plain, errors[i].rotated));
    return {
      format,
      bitsPerWeight: sum(({ rows, depth, errors }) => errors[i].bitsPerWeight * rows * depth) / count,
      ...normalised(
        { plain: sum(({ errors }) => errors[i].plain), rotated: sum(({ errors }) => errors[i].rotated) },
        power,
      ),
      best: power > 0 ? better / power : 0,
      rotatedLayers: sum(({ errors }) => Number(errors[i].rotated < errors[i].plain)),
    };
  });
}

/**
 * Encodes and decodes weights in every format, with and without rotation.
 *
 * @throws LowbitError 'invalid-argument' for a group or block that is none; what reading the model throws; 'cancelled'
 */
export async function formats(options: FormatsOptions = {}): Promise<FormatsReport> {
  const { model, group = 128, block = 128, onProgress, signal } = options;
  const rotation = { block, seed: SEED };
  const { layers, leftOut } = model === undefined ? { layers: [], leftOut: [] } : await readLayers(model);
  const subjects = [drawn(gaussian), drawn(laplace), ...layers.map(subjectOf)];
  const measured: Measured[] = [];
  for (const subject of subjects) {
    measured.push(await measure(subject, group, rotation, signal));
    onProgress?.(measured.length, subjects.length);
  }
  const [onGaussian, onLaplace, ...ofModel] = measured;
  return {
    group,
    rotation,
    distributions: MEASURED.map((format, i) => ({
      format,
      bitsPerWeight: onGaussian.errors[i].bitsPerWeight,
      gaussian: normalised(onGaussian.errors[i], onGaussian.power),
      laplace: normalised(onLaplace.errors[i], onLaplace.power),
    })),
    ...(model !== undefined && {
      model: {
        layers: ofModel.map(({ rows, depth, power, errors }, i) => ({
          name: layers[i].node.name,
          op: layers[i].node.op,
          rows,
          depth,
          formats: errors.map((error) => ({ ...error, ...normalised(error, power) })),
        })),
        totals: totalsOf(ofModel),
        leftOut,
      },
    }),
  };
}

/** Layers with weights that the formats are for, after the passes that fold and fuse, which is what is quantized. */
async function readLayers(location: string) {
  const { graph } = optimize(await readModel(location));
  const layers: LinearOp[] = [];
  const leftOut: { name: string; reason: string }[] = [];
  for (const node of graph.nodes.values()) {
    const op = readLinearOp(graph, node);
    if (typeof op === 'string') {
      if (linearKind(node)) leftOut.push({ name: node.name, reason: op });
    } else if (op.kind === 'depthwise') {
      leftOut.push({
        name: node.name,
        reason: 'depthwise convolutions have no inputs to rotate, and few weights',
      });
    } else layers.push(op);
  }
  return { layers, leftOut };
}
