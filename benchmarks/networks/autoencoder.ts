/**
 * A dense autoencoder with random weights of structure: a matrix of low rank, as trained layers nearly are, and noise with
 * heavy tails, as their outliers have. Its data comes of fewer causes than it has inputs, so that inputs are correlated.
 */
import { attr, shapeToJson } from '../../src/graph/attrs';
import type { Constant, Graph, GraphNode, RawAttr, Sample } from '../../src/graph/ir';
import type { Random } from './random';

const RANK = 32;

/** Share of the weights' variance that the matrix of low rank has. */
const LOW_RANK = 0.5;

/** One weight in so many is an outlier, so many times as large. */
const OUTLIERS = { oneIn: 200, factor: 8 };

const CAUSES = 48;

/** [inputs][outputs] with a variance that keeps that of activations behind a rectifier (He et al. 2015). */
function weights(random: Random, inputs: number, outputs: number): Float32Array {
  const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const [left, right] = [normals(inputs * RANK), normals(outputs * RANK)];
  const scale = Math.sqrt(2 / inputs);
  const [shared, own] = [Math.sqrt(LOW_RANK / RANK) * scale, Math.sqrt(1 - LOW_RANK) * scale];
  const values = new Float32Array(inputs * outputs);
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < outputs; j++) {
      let sum = 0;
      for (let r = 0; r < RANK; r++) sum += left[i * RANK + r] * right[j * RANK + r];
      const outlier = random.next() * OUTLIERS.oneIn < 1 ? OUTLIERS.factor : 1;
      values[i * outputs + j] = shared * sum + own * outlier * random.normal();
    }
  }
  return values;
}

/** @param sizes features of the input, of every layer's result, and of the output */
export function autoencoder(random: Random, sizes: readonly number[]): Graph {
  const nodes = new Map<string, GraphNode>();
  const constants = new Map<string, Constant>();
  const shape = [-1, sizes[0]];
  const node = (name: string, op: string, inputs: string[], attrs: Record<string, RawAttr>) =>
    nodes.set(name, { name, op, inputs: inputs.map((input) => ({ node: input, index: 0 })), attrs });
  const T = attr.dtype('float32');
  node('input', 'Placeholder', [], { dtype: T, shape: { shape: shapeToJson(shape) } });
  let last = 'input';
  for (const [i, outputs] of sizes.slice(1).entries()) {
    const values = weights(random, sizes[i], outputs);
    constants.set(`dense_${i}/w`, { dtype: 'float32', shape: [sizes[i], outputs], values });
    node(`dense_${i}/w`, 'Const', [], { dtype: T });
    node(`dense_${i}`, 'MatMul', [last, `dense_${i}/w`], {
      T,
      transpose_a: attr.bool(false),
      transpose_b: attr.bool(false),
    });
    last = `dense_${i}`;
    if (i === sizes.length - 2) continue;
    node(`relu_${i}`, 'Relu', [last], { T });
    last = `relu_${i}`;
  }
  return {
    nodes,
    constants,
    inputs: [{ name: 'input', ref: { node: 'input', index: 0 }, dtype: 'float32', shape }],
    outputs: [{ name: last, ref: { node: last, index: 0 }, dtype: 'float32', shape: [-1, sizes.at(-1)!] }],
    source: {},
  };
}

/** Batches of data for it. */
export function* autoencoderData(
  random: Random,
  inputs: number,
  batches: number,
  rows: number,
): Generator<Sample> {
  const mixing = Float32Array.from({ length: CAUSES * inputs }, () => random.normal() / Math.sqrt(CAUSES));
  for (let batch = 0; batch < batches; batch++) {
    const values = new Float32Array(rows * inputs);
    for (let row = 0; row < rows; row++) {
      const causes = Array.from({ length: CAUSES }, () => random.normal());
      for (let k = 0; k < inputs; k++) {
        let sum = 0.1 * random.normal();
        for (let c = 0; c < CAUSES; c++) sum += causes[c] * mixing[c * inputs + k];
        values[row * inputs + k] = sum;
      }
    }
    yield { input: { dtype: 'float32', shape: [rows, inputs], values } };
  }
}
