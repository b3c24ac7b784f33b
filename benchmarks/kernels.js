// Micro-benchmarks of the kernels, each called as TF.js calls it, and float TF.js (WebAssembly) on the same shapes:
//
//   npm run bench:kernels

require('@tensorflow/tfjs-backend-wasm');
const Benchmark = require('benchmark');
const tf = require('@tensorflow/tfjs-core');
const { engineInfo, setThreads } = require('tfjs-lowbit');
const { packInt8, quantizedConv2D, quantizedDepthwise } = require('tfjs-lowbit/kernels');

/** Layers of MobileNetV2 1.0 224. */
const CONVOLUTIONS = [
  { name: '1x1, 56x56, 24 -> 144', size: 56, inputs: 24, outputs: 144, kernel: 1 },
  { name: '1x1, 14x14, 384 -> 64', size: 14, inputs: 384, outputs: 64, kernel: 1 },
  { name: '1x1, 7x7, 160 -> 960', size: 7, inputs: 160, outputs: 960, kernel: 1 },
  { name: '3x3, 28x28, 64 -> 64', size: 28, inputs: 64, outputs: 64, kernel: 3 },
];
const DEPTHWISE = { name: 'depthwise 3x3, 28x28, 192', size: 28, channels: 192 };

const input = { inputScale: 0.05, inputZeroPoint: -128 };
const output = { outputScale: 0.05, outputZeroPoint: -128 };
const ramp = (count) => Int8Array.from({ length: count }, (_, i) => ((i * 37) % 255) - 127);

function weights(count, outputs) {
  return {
    filter: packInt8(ramp(count)),
    filterScale: tf.fill([outputs], 0.002),
    bias: tf.zeros([outputs], 'int32'),
  };
}

function codes(shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(Int32Array.from(ramp(count)), shape, 'int32');
}

async function main() {
  await tf.setBackend('wasm');
  setThreads(1);
  const suite = new Benchmark.Suite();
  for (const { name, size, inputs, outputs, kernel } of CONVOLUTIONS) {
    const x = codes([1, size, size, inputs]);
    const filter = weights(outputs * kernel * kernel * inputs, outputs);
    const attrs = {
      ...input,
      ...output,
      filterShape: [outputs, kernel, kernel, inputs],
      strides: [1, 1],
      pad: 'same',
      activation: 'relu6',
    };
    suite.add(`INT8  ${name}`, () => quantizedConv2D(x, filter, attrs).dispose());
    const floatX = tf.cast(x, 'float32');
    const floatFilter = tf.fill([kernel, kernel, inputs, outputs], 0.01);
    const fused = { x: floatX, filter: floatFilter, strides: 1, pad: 'same', activation: 'relu6' };
    suite.add(`float ${name}`, () => tf.fused.conv2d(fused).dispose());
  }
  const { name, size, channels } = DEPTHWISE;
  const x = codes([1, size, size, channels]);
  const filter = weights(9 * channels, channels);
  const attrs = {
    ...input,
    ...output,
    filterShape: [3, 3, channels, 1],
    strides: [1, 1],
    pad: 'same',
    activation: 'relu6',
  };
  suite.add(`INT8  ${name}`, () => quantizedDepthwise(x, filter, attrs).dispose());
  const fused = {
    x: tf.cast(x, 'float32'),
    filter: tf.fill([3, 3, channels, 1], 0.01),
    strides: 1,
    pad: 'same',
    activation: 'relu6',
  };
  suite.add(`float ${name}`, () => tf.fused.depthwiseConv2d(fused).dispose());

  console.log(`node benchmarks/kernels.js: ${JSON.stringify(engineInfo())}, tfjs ${tf.version_core}`);
  console.log(
    '(codes cross the border as int32 here, as in any call of a single kernel; regions keep them in int8)',
  );
  suite.on('cycle', ({ target }) =>
    console.log(`${(target.stats.mean * 1e6).toFixed(1).padStart(9)} us  ${target.name}`),
  );
  suite.run();
}

main();
