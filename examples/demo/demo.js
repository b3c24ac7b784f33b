// Converts the demo's float model to INT8, runs both on pictures that neither has seen, and prints what it gained:
//
//   npm run demo

const fs = require('node:fs');
const path = require('node:path');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
const Table = require('cli-table3');
const { setThreads } = require('tfjs-lowbit');
const { compare, convert } = require('tfjs-lowbit/convert');
const { SIZE, makeShapes } = require('./shapes.js');

const CALIBRATION_SEED = 1001;
const TEST_SEED = 2002;
const TEST_COUNT = 500;

/** Generated pictures as samples of the model's one input, `image`. */
async function* pictures(count, seed) {
  const { pixels } = makeShapes(count, seed);
  const length = SIZE * SIZE * 3;
  for (let i = 0; i < count; i++) {
    const values = pixels.subarray(i * length, (i + 1) * length);
    yield { image: { dtype: 'float32', shape: [1, SIZE, SIZE, 3], values } };
  }
}

/** Percent of the test pictures that a model, loaded as any TF.js program loads one, gets right. */
async function accuracy(location) {
  const model = await loadGraphModel(`file://${location}`);
  const { pixels, labels } = makeShapes(TEST_COUNT, TEST_SEED);
  const guesses = tf.tidy(() =>
    tf.argMax(model.predict(tf.tensor4d(pixels, [TEST_COUNT, SIZE, SIZE, 3])), 1).dataSync(),
  );
  model.dispose();
  return (100 * labels.filter((label, i) => label === guesses[i]).length) / TEST_COUNT;
}

async function main() {
  const float = path.join(__dirname, 'model', 'model.json');
  const output = path.join(__dirname, '..', '..', 'build', 'demo-int8');
  const converted = path.join(output, 'model.json');
  fs.mkdirSync(path.dirname(output), { recursive: true });

  console.log('Converting examples/demo/model to INT8, calibrated on 128 generated pictures...');
  const report = await convert({
    input: float,
    output,
    calibration: () => pictures(128, CALIBRATION_SEED),
    overwrite: true,
  });
  console.log(
    `${report.quantized.length} nodes became ${report.regions} native program; left float: ` +
      `${report.float.map(({ op, reason }) => `${op} (${reason})`).join(', ')}.`,
  );

  console.log(`Running float and INT8 on ${TEST_COUNT} other pictures...`);
  setThreads(1);
  const compared = await compare({
    float,
    lowbit: converted,
    samples: () => pictures(TEST_COUNT, TEST_SEED),
    latencyRuns: 200,
  });
  await tf.setBackend('wasm');
  const right = { float: await accuracy(float), lowbit: await accuracy(converted) };

  const { bytes, memory, latency } = compared;
  const megabytes = (value) => `${(value / 1e6).toFixed(2)} MB`;
  const ratio = (a, b) => `${(a / b).toFixed(1)}x`;
  const table = new Table({ head: ['', 'float32', 'INT8', ''], style: { head: [], border: [] } });
  table.push(
    [
      'size on disk',
      megabytes(bytes.float),
      megabytes(bytes.lowbit),
      `${ratio(bytes.float, bytes.lowbit)} smaller`,
    ],
    [
      'memory (resident growth)',
      megabytes(memory.float.resident),
      megabytes(memory.lowbit.resident),
      `${ratio(memory.float.resident, memory.lowbit.resident)} less`,
    ],
    [
      'time per picture (1 thread)',
      `${latency.float.toFixed(2)} ms`,
      `${latency.lowbit.toFixed(2)} ms`,
      `${latency.speedup.toFixed(1)}x faster`,
    ],
    [
      'accuracy',
      `${right.float.toFixed(1)} %`,
      `${right.lowbit.toFixed(1)} %`,
      `${compared.agreement.toFixed(1)} % agree`,
    ],
  );
  console.log(table.toString());
  console.log(
    `float32: TF.js ${latency.backend} backend; INT8: tfjs-lowbit on ${latency.isa}. Medians of ${latency.runs} interleaved runs.`,
  );
  console.log(`\nThe converted model is in ${path.relative(process.cwd(), output)}. To run one of your own:`);
  console.log("  import 'tfjs-lowbit';\n  const model = await tf.loadGraphModel('file://.../model.json');");
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
