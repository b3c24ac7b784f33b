/** Packs the experts among the weights of a TF.js model into a container. */
import { dirname } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Constant } from '../graph/ir';
import { readModelJson } from '../graph/read-model';
import { readWeights } from '../graph/read-weights';
import { type ExpertPrecision, writeContainer } from './store/container';
import {
  type ExpertActivation,
  type ExpertFormat,
  type ExpertLayout,
  type ExpertMatrix,
  type ExpertWeights,
  packExpert,
} from './store/expert-bytes';

/**
 * Names of weights, with `{layer}` for the number of the MoE layer and `{expert}` for that of the expert. Without
 * `{expert}` a weight holds all experts of a layer along its first axis.
 */
export interface ExpertNames {
  readonly up: string;
  readonly upBias?: string;
  readonly gate?: string;
  readonly gateBias?: string;
  readonly down: string;
  readonly downBias?: string;
}

export interface PackOptions {
  /** model.json of a TF.js model, of layers or a graph. */
  readonly input: string;
  /** The container to write. */
  readonly output: string;
  readonly names: ExpertNames;
  readonly activation: ExpertActivation;
  /** Precisions of each expert; the first is what is read by default. */
  readonly formats: readonly ExpertFormat[];
  /** How matrices lie: [inputs, outputs] as in TF.js (default), or [outputs, inputs]. */
  readonly order?: 'inputs-first' | 'outputs-first';
}

export interface PackReport {
  readonly output: string;
  readonly layers: number;
  readonly experts: number;
  readonly layout: ExpertLayout;
  /** Bytes of one expert and of all. */
  readonly precisions: readonly {
    readonly name: string;
    readonly expertBytes: number;
    readonly bytes: number;
  }[];
}

const nameOf = (pattern: string, layer: number, expert: number) =>
  pattern.replaceAll('{layer}', String(layer)).replaceAll('{expert}', String(expert));

/** How many consecutive numbers from 0 on a placeholder has. */
function countOf(weights: ReadonlyMap<string, Constant>, name: (i: number) => string): number {
  let count = 0;
  while (weights.has(name(count)) && name(count) !== name(count + 1)) count++;
  return count;
}

class ExpertTensors {
  readonly layers: number;
  readonly experts: number;
  private readonly stacked: boolean;
  /** Stacked weights of one layer: each is read once for all its experts. */
  private held = { layer: -1, values: new Map<string, Constant['values']>() };

  constructor(
    private readonly weights: ReadonlyMap<string, Constant>,
    up: string,
    input: string,
  ) {
    this.stacked = !up.includes('{expert}');
    const first = weights.get(nameOf(up, 0, 0));
    if (!first) {
      const some = [...weights.keys()].slice(0, 5).join(', ');
      throw new LowbitError(
        'invalid-argument',
        `${input} has no weight '${nameOf(up, 0, 0)}', as ${up} would be named; it has ${some}, ...`,
      );
    }
    this.layers = up.includes('{layer}') ? countOf(weights, (layer) => nameOf(up, layer, 0)) : 1;
    this.experts = this.stacked ? first.shape[0] : countOf(weights, (expert) => nameOf(up, 0, expert));
  }

  /** @returns the values, and the shape without the axis of experts */
  values(pattern: string, layer: number, expert: number, rank: number) {
    const name = nameOf(pattern, layer, expert);
    const refuse = (what: string) => new LowbitError('invalid-weights', `Weight '${name}' ${what}.`);
    const weight = this.weights.get(name);
    if (!weight) throw refuse('is not there');
    if (weight.dtype !== 'float32') throw refuse('is not of float32');
    const shape = this.stacked ? weight.shape.slice(1) : weight.shape;
    if (shape.length !== rank) throw refuse(`has shape [${weight.shape}]`);
    if (this.stacked && weight.shape[0] !== this.experts) throw refuse(`is of ${weight.shape[0]} experts`);
    const count = shape.reduce((a, b) => a * b, 1);
    const start = this.stacked ? expert * count : 0;
    return { values: this.valuesOf(name, layer, weight).slice(start, start + count), shape };
  }

  private valuesOf(name: string, layer: number, weight: Constant): Float32Array {
    if (!this.stacked) return weight.values as Float32Array;
    if (this.held.layer !== layer) this.held = { layer, values: new Map() };
    const values = this.held.values.get(name) ?? weight.values;
    this.held.values.set(name, values);
    return values as Float32Array;
  }

  matrix(
    pattern: string,
    bias: string | undefined,
    layer: number,
    expert: number,
    order: PackOptions['order'],
  ) {
    const { values, shape } = this.values(pattern, layer, expert, 2);
    const matrix: ExpertMatrix = {
      values: order === 'outputs-first' ? values : transpose(values, shape[0], shape[1]),
      ...(bias !== undefined && { bias: this.values(bias, layer, expert, 1).values }),
    };
    const [outputs, inputs] = order === 'outputs-first' ? shape : [shape[1], shape[0]];
    return { matrix, outputs, inputs };
  }
}

/** [rows, columns] as [columns, rows]. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c];
  return out;
}

/**
 * Writes the experts of a model to a container.
 *
 * @throws LowbitError 'invalid-argument' if the names match nothing, 'invalid-weights' naming a weight that does not
 *   fit, 'io' if a file cannot be read or written
 */
export async function packExperts(options: PackOptions): Promise<PackReport> {
  const { input, output, names, activation, formats, order = 'inputs-first' } = options;
  const json = await readModelJson(input);
  const tensors = new ExpertTensors(await readWeights(dirname(input), json.weightsManifest), names.up, input);
  const { layers, experts } = tensors;
  const read = (layer: number, expert: number): ExpertWeights & { layout: ExpertLayout } => {
    const up = tensors.matrix(names.up, names.upBias, layer, expert, order);
    const gate =
      names.gate === undefined ? undefined : tensors.matrix(names.gate, names.gateBias, layer, expert, order);
    const down = tensors.matrix(names.down, names.downBias, layer, expert, order);
    const layout = { width: up.inputs, hidden: up.outputs, activation, gated: gate !== undefined };
    return { up: up.matrix, ...(gate && { gate: gate.matrix }), down: down.matrix, layout };
  };
  const { layout } = read(0, 0);
  const precisions: ExpertPrecision[] = formats.map(({ format }) => ({ name: format, layout }));
  const sizes = formats.map(() => 0);
  const each = function* () {
    for (let layer = 0; layer < layers; layer++) {
      for (let expert = 0; expert < experts; expert++) {
        const weights = read(layer, expert);
        for (const [precision, format] of formats.entries()) {
          const bytes = packExpert(layout, weights, format);
          sizes[precision] = bytes.length;
          yield { layer, expert, precision, bytes };
        }
      }
    }
  };
  await writeContainer(output, { layers, experts, precisions }, each());
  return {
    output,
    layers,
    experts,
    layout,
    precisions: precisions.map(({ name }, i) => ({
      name,
      expertBytes: sizes[i],
      bytes: sizes[i] * layers * experts,
    })),
  };
}
