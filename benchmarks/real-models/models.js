/**
 * Models of ../shared with calibration and evaluation data, the scores, and the accuracy targets to meet.
 * A target is `[figure, 'most' or 'least', value]`. `convert` has the options beyond the defaults that the model needs to meet its targets.
 */
const { cifar10, pictures, recording } = require('./samples');
const { classification, detections, landmarks, maskOverlap, signalToNoise } = require('./scores');

const IMAGENET = {
  mean: [0.485, 0.456, 0.406].map((v) => v * 255),
  std: [0.229, 0.224, 0.225].map((v) => v * 255),
};

const onPictures = (options) => ({
  calibration: pictures('calib', options),
  evaluation: pictures('eval', options),
});

const onCifar10 = (options) => ({
  calibration: cifar10('train_6000.bin', options),
  evaluation: cifar10('test_2000.bin', options),
});

/** Two seconds of sound at a time; the first half calibrates, the second is judged. */
const onRecording = () => {
  const windows = { window: 43844, hop: 4410 };
  const file = 'vocal-da-80bpm.22050.wav';
  return {
    calibration: recording(file, { ...windows, from: 0, to: 0.5 }),
    evaluation: recording(file, { ...windows, from: 0.5, to: 1 }),
  };
};

const MODELS = [
  {
    name: 'mobilenet_v2_1.0_224_float',
    ...onPictures({ mean: 127.5, std: 127.5 }),
    convert: { calibrationMethod: 'percentile' },
    score: () => classification(1),
    targets: [
      ['drop', 'most', 0.3],
      ['agreement', 'least', 98],
    ],
  },
  {
    name: 'squeezenet1_1',
    ...onPictures(IMAGENET),
    score: () => classification(),
    targets: [['drop', 'most', 0.5]],
  },
  {
    name: 'mobilenet_v1_0.25_224',
    ...onPictures({ mean: 127.5, std: 127.5 }),
    score: () => classification(),
    targets: [['drop', 'most', 1]],
  },
  {
    name: 'resnet8_cifar10',
    ...onCifar10(),
    score: () => classification(),
    targets: [['drop', 'most', 0.5]],
  },
  {
    name: 'resnet20_cifar10',
    ...onCifar10(IMAGENET),
    score: () => classification(),
    targets: [['drop', 'most', 0.5]],
  },
  {
    name: 'facemesh',
    ...onPictures({ crop: 'none', mean: 0, std: 255 }),
    convert: { dynamic: ['**'] },
    score: () => landmarks('output_mesh', 192),
    targets: [['landmarkError', 'most', 1]],
  },
  {
    name: 'blazeface-front',
    ...onPictures({ crop: 'none', mean: 127.5, std: 127.5 }),
    convert: { dynamic: ['**'], errorFeedback: true, equalize: true },
    score: () => signalToNoise(),
    targets: [['signalToNoise', 'least', 25]],
  },
  {
    name: 'selfie',
    ...onPictures({ crop: 'none', mean: 0, std: 255 }),
    convert: { int16: ['**'] },
    score: () => maskOverlap(([value]) => value > 0.5),
    targets: [['maskOverlap', 'least', 0.97]],
  },
  {
    name: 'basic_pitch',
    ...onRecording(),
    score: () => signalToNoise(),
    targets: [['signalToNoise', 'least', 20]],
  },
  {
    name: 'centernet',
    ...onPictures({ crop: 'none', mean: 0, std: 1 }),
    convert: { dynamic: ['**/depthwise/**', '**/depthwise'], errorFeedback: true },
    score: () => detections('tower_0/detections', { score: 0.3, overlap: 0.8 }),
    targets: [['detectionsListed', 'least', 95]],
  },
];

module.exports = { MODELS };
