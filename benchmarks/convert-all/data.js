/** Data for models whose folders do not hold any: by the folder's name, else made up. */
const fs = require('node:fs');
const path = require('node:path');
const { WaveFile } = require('wavefile');
const { imageFolder } = require('../../dist/src/convert');
const { SHARED, shared } = require('../real-models/samples');

const IMAGENET = {
  mean: [0.485, 0.456, 0.406].map((v) => v * 255),
  std: [0.229, 0.224, 0.225].map((v) => v * 255),
};
const SIGNED = { mean: 127.5, std: 127.5 };
const UNIT = { mean: 0, std: 255 };
const PIXELS = { mean: 0, std: 1 };

const pictures = (folder, options, crop = 'none') =>
  imageFolder(shared('images', folder), { crop, ...options });

/** Samples of one input with other inputs that are the same each time. */
function beside(source, input, constants) {
  return async function* (inputs) {
    const plain = (name) => name.replace(/:0$/, '');
    const own = inputs.filter(({ name }) => plain(name) === input);
    const others = inputs.filter(({ name }) => plain(name) in constants);
    const same = Object.fromEntries(others.map(({ name }) => [name, constants[plain(name)]]));
    for await (const sample of source(own)) yield { ...sample, ...same };
  };
}

const constant = (value, shape = []) => {
  const count = shape.reduce((product, d) => product * d, 1);
  return { dtype: 'float32', shape, values: new Float32Array(count).fill(value) };
};

/** Text of source files, one a sample, for a model with one input of strings. */
async function* sources([{ name }]) {
  const folder = path.join(__dirname, '..', '..', 'src');
  const files = fs.readdirSync(folder, { recursive: true }).filter((file) => /\.(ts|js|css)$/.test(file));
  for (const file of files.sort()) {
    yield {
      [name]: { dtype: 'string', shape: [1], values: [fs.readFileSync(path.join(folder, file), 'utf8')] },
    };
  }
}

const CIFAR_RECORD = 1 + 32 * 32 * 3;

function cifar10({ mean = [0, 0, 0], std = [1, 1, 1] } = {}) {
  return async function* ([{ name }]) {
    const bytes = fs.readFileSync(shared('datasets', 'cifar10', 'train_6000.bin'));
    for (let at = 0; at < bytes.length; at += CIFAR_RECORD) {
      const pixels = bytes.subarray(at + 1, at + CIFAR_RECORD);
      const values = Float32Array.from(pixels, (v, i) => (v - mean[i % 3]) / std[i % 3]);
      yield { [name]: { dtype: 'float32', shape: [1, 32, 32, 3], values } };
    }
  };
}

async function* recording([{ name }]) {
  const wave = new WaveFile(fs.readFileSync(shared('audio', 'vocal-da-80bpm.22050.wav')));
  const sound = wave.getSamples(false, Float64Array);
  const channel = Array.isArray(sound) ? sound[0] : sound;
  const window = 43844;
  for (let at = 0; at + window <= channel.length; at += window >> 2) {
    const values = Float32Array.from(channel.subarray(at, at + window), (v) => v / 32768);
    yield { [name]: { dtype: 'float32', shape: [1, window, 1], values } };
  }
}

const RVM_STATES = { r1i: constant(0), r2i: constant(0), r3i: constant(0), r4i: constant(0) };

/** Data of the models of ../shared/models, as its README says. */
const DATA = {
  basic_pitch: recording,
  'blazeface-back': pictures('people', SIGNED),
  'blazeface-front': pictures('people', SIGNED),
  'blazepose-lite': pictures('people', UNIT),
  centernet: pictures('calib', PIXELS),
  efficientpose: pictures('people', SIGNED),
  'esrgan-slim-x2': pictures('eval', { ...PIXELS, imageSize: 64 }, 'center'),
  faceboxes: pictures('people', { ...PIXELS, imageSize: 256 }),
  facemesh: pictures('face_crops', UNIT),
  'facemesh-attention': pictures('face_crops', UNIT),
  gear: pictures('face_crops', UNIT),
  guesslang: sources,
  'handlandmark-full': pictures('hands', UNIT),
  handtrack: pictures('hands', PIXELS),
  meet: pictures('people', UNIT),
  mobileface: pictures('face_crops', PIXELS),
  'mobilenet_v1_0.25_224': pictures('calib', SIGNED, 'center'),
  'mobilenet_v2_1.0_224': pictures('calib', SIGNED, 'center'),
  'mobilenet_v2_1.0_224_float': pictures('calib', SIGNED, 'center'),
  'movenet-lightning': pictures('people', PIXELS),
  nanodet: pictures('people', { ...UNIT, layout: 'nchw' }),
  'nsfw-mobilenet_v2': pictures('eval', UNIT, 'center'),
  posenet: pictures('people', SIGNED),
  resnet20_cifar10: cifar10(IMAGENET),
  resnet8_cifar10: cifar10(),
  rvm: beside(pictures('people', { ...UNIT, imageSize: 256 }), 'src', {
    ...RVM_STATES,
    downsample_ratio: constant(0.5),
  }),
  selfie: pictures('people', UNIT),
  squeezenet1_1: pictures('calib', IMAGENET, 'center'),
};

/** ImageNet classes of the pictures of `calib`: what is added to an index to get the model's class. */
const LABEL_OFFSETS = {
  'mobilenet_v1_0.25_224': 0,
  'mobilenet_v2_1.0_224': 1,
  'mobilenet_v2_1.0_224_float': 1,
  squeezenet1_1: 0,
};

/** Samples of a model with the class of each, where the data has classes. */
function labelled(name) {
  if (name.endsWith('cifar10')) {
    return async function* (inputs) {
      const bytes = fs.readFileSync(shared('datasets', 'cifar10', 'train_6000.bin'));
      let index = 0;
      for await (const sample of DATA[name](inputs)) yield { sample, label: bytes[CIFAR_RECORD * index++] };
    };
  }
  if (!(name in LABEL_OFFSETS)) return undefined;
  return async function* (inputs) {
    const labels = JSON.parse(fs.readFileSync(path.join(SHARED, 'images', 'labels.json'), 'utf8'));
    const files = fs.readdirSync(shared('images', 'calib')).sort();
    let index = 0;
    for await (const sample of DATA[name](inputs)) {
      yield { sample, label: labels[`calib/${files[index++]}`].index + LABEL_OFFSETS[name] };
    }
  };
}

/** @returns undefined where nothing is known of the model */
const dataOf = (name) => DATA[name];

module.exports = { dataOf, labelled };
