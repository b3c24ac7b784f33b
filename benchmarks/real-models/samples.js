/** The data of ../shared as samples of a model: pictures, CIFAR-10 records, a recording. */
const fs = require('node:fs');
const path = require('node:path');
const { WaveFile } = require('wavefile');
const { imageFolder } = require('../../dist/src/convert');

const SHARED = path.resolve(__dirname, '..', '..', '..', 'shared');

const shared = (...parts) => path.join(SHARED, ...parts);

/** Pictures of a folder below `images`, with their ImageNet class where they have one. */
function pictures(folder, options) {
  const root = shared('images');
  return async function* (inputs) {
    const labels = JSON.parse(fs.readFileSync(path.join(root, 'labels.json'), 'utf8'));
    const files = fs.readdirSync(path.join(root, folder)).sort();
    let index = 0;
    for await (const sample of imageFolder(path.join(root, folder), options)(inputs)) {
      yield { sample, label: labels[`${folder}/${files[index++]}`]?.index };
    }
  };
}

const CIFAR_SIDE = 32;
const CIFAR_CHANNELS = 3;
const CIFAR_RECORD = 1 + CIFAR_SIDE * CIFAR_SIDE * CIFAR_CHANNELS;

/** CIFAR-10 records: a label, then 32 x 32 pixels of red, green and blue. */
function cifar10(file, { mean = [0, 0, 0], std = [1, 1, 1] } = {}) {
  return async function* ([{ name }]) {
    const bytes = fs.readFileSync(shared('datasets', 'cifar10', file));
    for (let at = 0; at < bytes.length; at += CIFAR_RECORD) {
      const pixels = bytes.subarray(at + 1, at + CIFAR_RECORD);
      const values = Float32Array.from(pixels, (v, i) => {
        const channel = i % CIFAR_CHANNELS;
        return (v - mean[channel]) / std[channel];
      });
      const shape = [1, CIFAR_SIDE, CIFAR_SIDE, CIFAR_CHANNELS];
      yield { sample: { [name]: { dtype: 'float32', shape, values } }, label: bytes[at] };
    }
  };
}

/**
 * Overlapping windows of a mono recording, in -1..1.
 *
 * @param from where to begin and
 * @param to where to end, as shares of its length
 */
function recording(file, { window, hop, from, to }) {
  return async function* ([{ name }]) {
    const wave = new WaveFile(fs.readFileSync(shared('audio', file)));
    wave.toBitDepth('32f');
    const all = wave.getSamples(false, Float32Array);
    const end = Math.floor(all.length * to);
    for (let at = Math.floor(all.length * from); at + window <= end; at += hop) {
      const values = all.slice(at, at + window);
      yield { sample: { [name]: { dtype: 'float32', shape: [1, window, 1], values } } };
    }
  };
}

module.exports = { SHARED, shared, pictures, cifar10, recording };
