// The weights as TensorFlow.js writes them, with its own quantization: uint8 with a scale and an offset for each matrix of
// each expert, float16 for all the rest.

const fs = require('node:fs');
const path = require('node:path');
const tf = require('@tensorflow/tfjs-core');
const { Float16Array } = require('@petamoriken/float16');
const shape = require('./shape.js');

const FOLDER = path.join(__dirname, 'model');
const FORMAT = 'moe-char-lm';
const BINARY = 'weights.bin';

/** Steps of (max - min) / 255 from min; decoded as step * scale + min. */
function toBytes(values) {
  const min = values.reduce((a, b) => Math.min(a, b));
  const max = values.reduce((a, b) => Math.max(a, b));
  const scale = (max - min) / 255 || 1;
  return {
    bytes: Uint8Array.from(values, (value) => Math.round((value - min) / scale)),
    quantization: { dtype: 'uint8', scale, min },
  };
}

function toHalves(values) {
  const halves = Float16Array.from(values);
  return { bytes: new Uint8Array(halves.buffer), quantization: { dtype: 'float16' } };
}

/** `block0/mixture/first` [experts * rows, columns] as `block0/mixture/first/0` ... [rows, columns]. */
function perExpert(name, tensor) {
  if (!/mixture\/(first|second)$/.test(name))
    return [{ name, shape: tensor.shape, values: tensor.dataSync() }];
  const rows = tensor.shape[0] / shape.experts;
  const size = rows * tensor.shape[1];
  const values = tensor.dataSync();
  return Array.from({ length: shape.experts }, (_, expert) => ({
    name: `${name}/${expert}`,
    shape: [rows, tensor.shape[1]],
    values: values.subarray(expert * size, (expert + 1) * size),
  }));
}

function saveWeights(weights, vocabulary, folder = FOLDER) {
  const specs = [];
  const parts = [];
  for (const [name, tensor] of Object.entries(weights)) {
    for (const part of perExpert(name, tensor)) {
      const { bytes, quantization } = part.name === name ? toHalves(part.values) : toBytes(part.values);
      specs.push({ name: part.name, shape: part.shape, dtype: 'float32', quantization });
      parts.push(bytes);
    }
  }
  const model = {
    format: FORMAT,
    generatedBy: 'examples/moe-char-lm/train.js',
    shape,
    vocabulary,
    weightsManifest: [{ paths: [BINARY], weights: specs }],
  };
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, BINARY), Buffer.concat(parts));
  fs.writeFileSync(path.join(folder, 'model.json'), `${JSON.stringify(model)}\n`);
}

/**
 * Reads a model that `saveWeights` wrote.
 *
 * @returns {{vocabulary: string, tensors: Record<string, tf.Tensor>}} the tensors as `network` takes them
 */
function loadWeights(folder = FOLDER) {
  const model = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf8'));
  if (model.format !== FORMAT || JSON.stringify(model.shape) !== JSON.stringify(shape))
    throw new Error(`${folder} holds no model of the shape in shape.js; train it again.`);
  const [{ paths, weights: specs }] = model.weightsManifest;
  const file = fs.readFileSync(path.join(folder, paths[0]));
  const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
  return { vocabulary: model.vocabulary, tensors: joinExperts(tf.io.decodeWeights(bytes, specs)) };
}

/** The inverse of `perExpert`. */
function joinExperts(decoded) {
  const tensors = {};
  for (const [name, tensor] of Object.entries(decoded)) {
    const [, whole, expert] = /^(.*)\/(\d+)$/.exec(name) ?? [];
    if (whole === undefined) tensors[name] = tensor;
    else if (expert === '0') {
      const parts = Array.from({ length: shape.experts }, (_, e) => decoded[`${whole}/${e}`]);
      tensors[whole] = tf.concat(parts, 0);
      tf.dispose(parts);
    }
  }
  return tensors;
}

/** [rows, columns] as [columns, rows]. */
function transposed(values, rows, columns) {
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)],
  );
}

/** The experts one after the other, as `packExpert` of the package takes them. */
function* expertsOf({ tensors }) {
  const { layers, experts, width, hidden } = shape;
  const size = width * hidden;
  for (let layer = 0; layer < layers; layer++) {
    const [first, second] = ['first', 'second'].map((which) =>
      tensors[`block${layer}/mixture/${which}`].dataSync(),
    );
    for (let expert = 0; expert < experts; expert++) {
      const part = (values) => values.subarray(expert * size, (expert + 1) * size);
      const up = { values: transposed(part(first), width, hidden) };
      const down = { values: transposed(part(second), hidden, width) };
      yield { layer, expert, weights: { up, down } };
    }
  }
}

/** What an expert computes, as `packExpert` takes it. */
const LAYOUT = { width: shape.width, hidden: shape.hidden, activation: 'relu', gated: false };

module.exports = { FOLDER, LAYOUT, expertsOf, loadWeights, saveWeights };
