// Our INT8 against float TF.js on the same model, in one run:
//
//   npm run bench:models
//
// Converts the float model, checks that both compute the same thing, then times them interleaved on the same input and
// measures the memory of each in a process of its own. Reads ../shared/models and ../shared/images.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Table = require('cli-table3');
const lowbit = require('tfjs-lowbit');

const SHARED = path.resolve(__dirname, '..', '..', 'shared');
const NAME = 'mobilenet_v2_1.0_224_float';
const IMAGE = { imageSize: 224, crop: 'center', mean: 127.5, std: 127.5 };
const RUNS = 200;
const CHECKED = 50;

async function main() {
  const float = path.join(SHARED, 'models', NAME, 'model.json');
  if (!fs.existsSync(float)) throw new Error(`This benchmark needs ${float}.`);
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => fs.rmSync(temporary, { recursive: true, force: true }));
  const output = path.join(temporary, 'int8');
  const { bytes } = await lowbit.convert({
    input: float,
    output,
    calibration: lowbit.imageFolder(path.join(SHARED, 'images', 'calib'), IMAGE),
  });
  const model = path.join(output, 'model.json');

  const { agreement, outputs, memory } = await lowbit.compare({
    float,
    lowbit: model,
    images: path.join(SHARED, 'images', 'eval'),
    imageOptions: IMAGE,
    limit: CHECKED,
    latencyRuns: 1,
  });
  if (agreement < 90) throw new Error(`The models agree on ${agreement} % of ${CHECKED} images only.`);
  const { results, backend, isa, versions } = await lowbit.bench({
    model,
    float,
    threads: [1, 2],
    runs: RUNS,
  });

  const table = new Table({
    head: [
      'threads',
      'INT8 median',
      'INT8 min',
      'outside native code',
      'float median (1 thread)',
      'float / INT8',
    ],
    style: { head: [], border: [] },
  });
  const ms = (value) => `${value.toFixed(3)} ms`;
  for (const { threads, model: ours, javascriptOverhead, float: theirs, speedup } of results) {
    table.push([
      threads,
      ms(ours.median),
      ms(ours.min),
      ms(javascriptOverhead),
      ms(theirs.median),
      `${speedup.toFixed(2)}x`,
    ]);
  }
  const mb = (value) => `${(value / 1e6).toFixed(2)} MB`;
  console.log(`node benchmarks/models.js: ${NAME}, batch 1, ${RUNS} interleaved runs`);
  console.log(
    `${isa}; float on ${backend}; Node.js ${versions.node}; ${os.cpus()[0].model}, ${os.cpus().length} cores`,
  );
  console.log(`same answers: ${agreement} % of ${CHECKED} images, ${outputs[0].signalToNoise.toFixed(1)} dB`);
  console.log(table.toString());
  console.log(`size: float ${mb(bytes.before)}, INT8 ${mb(bytes.after)}`);
  console.log(
    `resident growth, load and run: float ${mb(memory.float.resident)}, INT8 ${mb(memory.lowbit.resident)} ` +
      `(${((100 * memory.lowbit.resident) / memory.float.resident).toFixed(0)} %)`,
  );
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
