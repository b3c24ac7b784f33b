/**
 * A mixture-of-experts layer for tf.layers: trained in float, then its experts are written to a container and read back
 * as they are needed.
 */
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { checkArgument, LowbitError } from '../base/errors';
import type { MixtureActivation } from '../graph/mixture';
import { floatMixture } from './float-mixture';
import type { Gate, MixtureOfExperts } from './mixture';
import { writeContainer } from './store/container';
import { type ExpertFormat, type ExpertLayout, type ExpertWeights, packExpert } from './store/expert-bytes';

export interface MoELayerArgs {
  /** Experts to choose from. */
  experts: number;
  /** Experts of a token. */
  topK: number;
  /** Units within an expert. */
  hidden: number;
  /** Within an expert. Default `relu`. */
  activation?: MixtureActivation;
  /**
   * Weight of the loss that keeps experts equally busy, experts * sum of f_e * P_e with f_e the share of picks and P_e the
   * mean probability of an expert (Fedus et al. 2022, equation 4). Default 0.01.
   */
  balance?: number;
  name?: string;
  inputShape?: number[];
}

const CLASS_NAME = 'MoELayer';

/**
 * Input [.., width], output the same shape: the sum of each token's experts, down(activation(up(x))), by gate weight.
 * In float all experts are computed for every token, which training needs for its gradients; with experts attached
 * (`attachExperts`) only those chosen are, from memory or the container.
 */
export class MoELayer extends layers.layers.Layer {
  static readonly className = CLASS_NAME;
  readonly args: Required<Omit<MoELayerArgs, 'name' | 'inputShape'>>;
  private width = 0;
  private gate?: layers.LayerVariable;
  private parts: layers.LayerVariable[] = [];
  private attached?: { mixture: MixtureOfExperts; index: number };
  /** Of the last call in training; kept until the next. */
  private balanceLoss?: tf.Scalar;

  constructor(args: MoELayerArgs) {
    super(args as ConstructorParameters<typeof layers.layers.Layer>[0]);
    const { experts, topK, hidden, activation = 'relu', balance = 0.01 } = args;
    for (const [name, value] of Object.entries({ experts, topK, hidden })) {
      checkArgument(Number.isInteger(value) && value > 0, name, 'a positive integer', value);
    }
    checkArgument(topK <= experts, 'topK', `at most ${experts}, the number of experts`, topK);
    this.args = { experts, topK, hidden, activation, balance };
  }

  override build(inputShape: layers.Shape | layers.Shape[]): void {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as layers.Shape;
    const width = shape[shape.length - 1];
    if (width == null)
      throw new LowbitError('invalid-shape', `${this.name}: the last axis of its input is not known.`);
    const { experts, hidden } = this.args;
    this.width = width;
    const glorot = layers.initializers.glorotUniform({});
    const zeros = layers.initializers.zeros();
    this.gate = this.addWeight('gate', [width, experts], 'float32', glorot);
    this.parts = [
      this.addWeight('up', [experts, width, hidden], 'float32', glorot),
      this.addWeight('up_bias', [experts, hidden], 'float32', zeros),
      this.addWeight('down', [experts, hidden, width], 'float32', glorot),
      this.addWeight('down_bias', [experts, width], 'float32', zeros),
    ];
    if (this.args.balance > 0) this.addLoss(() => this.balanceLoss!);
    super.build(inputShape);
  }

  override computeOutputShape(inputShape: layers.Shape | layers.Shape[]): layers.Shape | layers.Shape[] {
    return inputShape;
  }

  override call(
    inputs: tf.Tensor | tf.Tensor[],
    { training = false }: { training?: boolean } = {},
  ): tf.Tensor {
    return tf.tidy(() => {
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      const rows = tf.reshape(x, [-1, this.width]) as tf.Tensor2D;
      const logits = tf.matMul(rows, this.gate!.read() as tf.Tensor2D) as tf.Tensor2D;
      const out = this.attached ? this.callAttached(rows, logits) : this.callFloat(rows, logits, training);
      return tf.reshape(out, x.shape);
    });
  }

  override getConfig() {
    return { ...super.getConfig(), ...this.args };
  }

  /** What the experts of this layer compute. */
  get layout(): ExpertLayout {
    const { hidden, activation } = this.args;
    return { width: this.width, hidden, activation, gated: false };
  }

  /** The gate as `MixtureOptions` has it. */
  gateWeights(): Gate {
    return { kernel: this.gate!.read().dataSync<'float32'>().slice() };
  }

  /** Each expert's matrices, [outputs, inputs]. */
  *expertWeights(): Generator<ExpertWeights> {
    const { experts } = this.args;
    for (let e = 0; e < experts; e++) {
      const [up, upBias, down, downBias] = this.parts.map((part) =>
        tf.tidy(() => {
          const one = tf.squeeze(tf.slice(part.read(), e, 1), [0]);
          return (one.rank === 2 ? tf.transpose(one) : one).dataSync<'float32'>().slice();
        }),
      );
      yield { up: { values: up, bias: upBias }, down: { values: down, bias: downBias } };
    }
  }

  /** Computes with a mixture's experts from now on, and frees the layer's own. */
  attach(mixture: MixtureOfExperts, index: number): void {
    this.attached = { mixture, index };
    for (const part of this.parts) part.dispose();
    this.parts = [];
  }

  private callAttached(rows: tf.Tensor2D, logits: tf.Tensor2D): tf.Tensor {
    const { mixture, index } = this.attached!;
    const out = mixture.forwardNow(index, rows.dataSync<'float32'>(), logits.dataSync<'float32'>());
    return tf.tensor2d(out, rows.shape);
  }

  private callFloat(rows: tf.Tensor2D, logits: tf.Tensor2D, training: boolean): tf.Tensor {
    const { experts, topK, activation, balance } = this.args;
    const [up, upBias, down, downBias] = this.parts.map((part) => part.read());
    const parts = { up, upBias, down, downBias };
    const { out, mask, probabilities } = floatMixture(rows, logits, parts, { topK, activation });
    if (training && balance > 0) {
      const busy = tf.div(tf.mean(mask, 0), topK);
      const loss = tf.mul(tf.sum(tf.mul(busy, tf.mean(probabilities, 0))), balance * experts);
      this.balanceLoss?.dispose();
      this.balanceLoss = tf.keep(loss) as tf.Scalar;
    }
    return out;
  }
}

tf.serialization.registerClass(MoELayer);

function moeLayers(model: layers.LayersModel): MoELayer[] {
  const found = model.layers.filter((layer): layer is MoELayer => layer instanceof MoELayer);
  checkArgument(found.length > 0, 'model', `a model with layers of the class ${CLASS_NAME}`, 'one without');
  return found;
}

/**
 * Writes the experts of a model's MoE layers, which have to be of one size, to a container.
 *
 * @param formats the precisions of each expert, the first is what is read by default
 * @throws LowbitError 'invalid-argument' if the layers differ, 'io' if the file cannot be written
 */
export async function writeExperts(
  model: layers.LayersModel,
  path: string,
  formats: readonly ExpertFormat[] = [{ format: 'int8' }],
): Promise<void> {
  const found = moeLayers(model);
  const [{ layout, args }] = found;
  const key = (layer: MoELayer) => JSON.stringify([layer.layout, layer.args.experts]);
  for (const layer of found) {
    checkArgument(
      key(layer) === key(found[0]),
      `layer ${layer.name}`,
      `experts like those of ${found[0].name}`,
      key(layer),
    );
  }
  const precisions = formats.map(({ format }) => ({ name: format, layout }));
  const each = function* () {
    for (const [index, layer] of found.entries()) {
      let expert = 0;
      for (const weights of layer.expertWeights()) {
        for (const [precision, format] of formats.entries()) {
          yield { layer: index, expert, precision, bytes: packExpert(layout, weights, format) };
        }
        expert++;
      }
    }
  };
  await writeContainer(path, { layers: found.length, experts: args.experts, precisions }, each());
}

/** The gates of a model's MoE layers, for reading ahead. */
export function gatesOf(model: layers.LayersModel): Gate[] {
  return moeLayers(model).map((layer) => layer.gateWeights());
}

/** Lets a model's MoE layers compute with a mixture's experts, and frees their own: `predict` stays as it was. */
export function attachExperts(model: layers.LayersModel, mixture: MixtureOfExperts): void {
  const found = moeLayers(model);
  const { index } = mixture;
  checkArgument(index.layers === found.length, 'mixture', `experts of ${found.length} layers`, index.layers);
  for (const [i, layer] of found.entries()) layer.attach(mixture, i);
}
