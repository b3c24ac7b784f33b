/** What models are for: a score of each task beside signal-to-noise, on samples that nobody has seen. */
const { cifar10, pictures } = require('../real-models/samples');
const { classification, landmarks, maskOverlap } = require('../real-models/scores');

const SIGNED = { mean: 127.5, std: 127.5 };
const IMAGENET = {
  mean: [0.485, 0.456, 0.406].map((v) => v * 255),
  std: [0.229, 0.224, 0.225].map((v) => v * 255),
};

const LABELLED = 200;

const classes = (samples, offset) => ({
  samples,
  count: LABELLED,
  score: () => classification(offset),
  describe: ({ drop, agreement }) =>
    `${drop.toFixed(1)} points of top-1 lost, ${agreement.toFixed(1)} % agree`,
});

const places = (output, side, each) => ({
  score: () => landmarks(output, side, each),
  describe: ({ landmarkError }) => `landmarks off by ${landmarkError.toFixed(2)} %`,
});

const mask = (isMarked, output) => ({
  score: () => maskOverlap(isMarked, output),
  describe: ({ maskOverlapWithSomebody }) => `IoU ${maskOverlapWithSomebody.toFixed(3)}`,
});

const isOn = ([value]) => value > 0.5;
const isSecond = ([first, second]) => second > first;

/** By model; those with samples of their own are scored on these, and not on those of the test. */
const TASKS = {
  'blazepose-lite': places('ld_3d', 256, 5),
  facemesh: places('output_mesh', 192),
  'handlandmark-full': places('Identity:0', 224),
  meet: mask(isSecond),
  'mobilenet_v1_0.25_224': classes(pictures('eval', SIGNED), 0),
  'mobilenet_v2_1.0_224': classes(pictures('eval', SIGNED), 1),
  'mobilenet_v2_1.0_224_float': classes(pictures('eval', SIGNED), 1),
  resnet20_cifar10: classes(cifar10('test_2000.bin', IMAGENET), 0),
  resnet8_cifar10: classes(cifar10('test_2000.bin'), 0),
  rvm: mask(isOn, 'pha'),
  selfie: mask(isOn),
  squeezenet1_1: classes(pictures('eval', IMAGENET), 0),
};

module.exports = { TASKS };
