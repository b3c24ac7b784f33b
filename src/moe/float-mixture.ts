/** A mixture of experts in float, by operations of TF.js, for training and calibration. */
import * as tf from '@tensorflow/tfjs-core';
import type { MixtureActivation } from '../graph/mixture';

/** Weights of all experts of a layer. */
export interface StackedExperts {
  /** [experts, width, hidden]. */
  readonly up: tf.Tensor;
  /** [experts, hidden]. */
  readonly upBias: tf.Tensor;
  /** [experts, hidden, width]. */
  readonly down: tf.Tensor;
  /** [experts, width]. */
  readonly downBias: tf.Tensor;
}

export interface FloatMixture {
  /** [tokens, width]: the sum of each token's experts by gate weight. */
  readonly out: tf.Tensor;
  /** [tokens, experts]: 1 where a token uses the expert. */
  readonly mask: tf.Tensor;
  /** [tokens, experts]: softmax of the logits. */
  readonly probabilities: tf.Tensor;
}

/** 1 where an expert is among the topK of a token; no gradient goes through it. */
const chosen = (topK: number) =>
  tf.customGrad((x) => {
    const logits = x as tf.Tensor2D;
    const { values } = tf.topk(logits, topK);
    const least = tf.slice(values, [0, topK - 1], [-1, 1]);
    return {
      value: tf.cast(tf.greaterEqual(logits, least), 'float32'),
      gradFunc: (dy) => tf.zerosLike(dy as tf.Tensor),
    };
  });

function activate(x: tf.Tensor, activation: MixtureActivation): tf.Tensor {
  if (activation === 'relu') return tf.relu(x);
  return activation === 'silu' ? tf.mul(x, tf.sigmoid(x)) : x;
}

/**
 * Computes all experts for every token, as gradients require, and sums the chosen ones.
 *
 * @param rows [tokens, width]
 * @param logits [tokens, experts]
 */
export function floatMixture(
  rows: tf.Tensor2D,
  logits: tf.Tensor2D,
  experts: StackedExperts,
  { topK, activation }: { topK: number; activation: MixtureActivation },
): FloatMixture {
  const probabilities = tf.softmax(logits);
  const mask = chosen(topK)(logits);
  const gates = tf.mul(probabilities, mask);
  const weights = tf.unstack(tf.div(gates, tf.sum(gates, 1, true)), 1);
  const { up, upBias, down, downBias } = experts;
  const [ups, upBiases, downs, downBiases] = [up, upBias, down, downBias].map((part) => tf.unstack(part));
  const results = ups.map((matrix, e) => {
    const inner = activate(tf.add(tf.matMul(rows, matrix as tf.Tensor2D), upBiases[e]), activation);
    const result = tf.add(tf.matMul(inner as tf.Tensor2D, downs[e] as tf.Tensor2D), downBiases[e]);
    return tf.mul(result, tf.expandDims(weights[e], 1));
  });
  return { out: tf.addN(results), mask, probabilities };
}
