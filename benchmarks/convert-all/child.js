/** Converts one model in one mode, in a process of its own, and prints what came of it as JSON. */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const { convert } = require('../../dist/src/convert');
const { dataOf, labelled } = require('./data');
const { infinite, loadModel, onSomeBackend, outputNames, predict, take } = require('./models');
const { MODES } = require('./modes');

/** Ops that multiply by weights or by one another. */
const PRODUCTS =
  /^(_?Fused)?(Depthwise)?Conv\dD|^DepthwiseConv2d|^Fused.*Conv|MatMul|Einsum|Conv\dDBackprop|^Conv\dD/;

const MADE_UP_SIDE = 128;

/** Numbers for a model of which nothing is known; the same every time. */
async function* madeUp(inputs) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  while (true) {
    const sample = {};
    for (const { name, dtype, shape = [] } of inputs) {
      const dims = shape.map((d, i) => (d > 0 ? d : i === 0 ? 1 : MADE_UP_SIDE));
      const array = dtype === 'int32' ? Int32Array : Float32Array;
      const values = new array(dims.reduce((product, d) => product * d, 1));
      for (let i = 0; i < values.length; i++)
        values[i] = dtype === 'int32' ? Math.floor((next() + 1) * 128) : next();
      sample[name] = { dtype: dtype === 'int32' ? 'int32' : 'float32', shape: dims, values };
    }
    yield sample;
  }
}

async function predictAll(model, samples, keys) {
  const results = [];
  for (const sample of samples) results.push(await predict(model, sample, keys));
  return results;
}

const decibels = (signal, noise) =>
  noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);

/** Signal-to-noise of an output over all samples, also with the mean over samples taken from the signal. */
function judge(float, lowbit) {
  const alike = float.every(({ values }) => values.length === float[0].values.length);
  let [signal, varying, noise] = [0, 0, 0];
  for (const [i, { values }] of float.entries()) {
    const other = lowbit[i].values;
    values.forEach((x, k) => {
      if (Object.is(x, other[k]) && !Number.isFinite(x)) return;
      signal += x * x;
      noise += (x - other[k]) ** 2;
      if (!alike || float.length < 2) return;
      const mean = float.reduce((sum, sample) => sum + sample.values[k], 0) / float.length;
      varying += (x - mean) ** 2;
    });
  }
  return { dB: decibels(signal, noise), varyingDb: varying > 0 ? decibels(varying, noise) : undefined };
}

async function convertOne({ input, name, mode, samples, tests }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tfjs-lowbit-convert-all-'));
  const source = dataOf(name) ?? madeUp;
  let specs = [];
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const row = { name, mode };
  try {
    const validation = labelled(name);
    const report = await convert({
      input,
      output: path.join(folder, 'out'),
      calibration: (inputs) => {
        specs = inputs;
        return take(source(inputs), samples);
      },
      samples,
      ...(mode === 'max-drop' && { validation: (inputs) => take(validation(inputs), 2 * samples, samples) }),
      ...MODES[mode],
    });
    row.seconds = seconds();
    row.peak = process.resourceUsage().maxRSS * 1024;
    row.macs = report.macs;
    row.bytes = report.bytes;
    row.quantized = report.quantized.length;
    row.warnings = report.warnings;
    row.float = report.float
      .filter(({ op }) => PRODUCTS.test(op))
      .map(({ name: node, op, reason }) => ({ node, op, reason }));
    row.stage = 'predict';
    if (specs.length === 0) return row;
    const held = [];
    for await (const sample of take(source(specs), tests, samples)) held.push(sample);
    const location = path.join(folder, 'out', 'model.json');
    let keys;
    const lowbit = await onSomeBackend(async () => {
      const model = await loadGraphModel(`file://${location}`);
      keys = outputNames(model);
      return predictAll(model, held, keys);
    });
    row.stage = 'float';
    const float = await onSomeBackend(async () => predictAll(await loadModel(input), held, keys));
    row.backends = { float: float.backend, lowbit: lowbit.backend };
    row.outputs = keys.map((key, k) => {
      const [a, b] = [float, lowbit].map(({ results }) => results.map((outputs) => outputs[k]));
      const shape = a.map((output) => output.shape);
      const sameShape = a.every((output, i) => String(output.shape) === String(b[i].shape));
      return { key, shape: shape[0], sameShape, found: b[0].shape, ...(sameShape && judge(a, b)) };
    });
    delete row.stage;
  } catch (error) {
    row.seconds ??= seconds();
    row.error = {
      code: error.code ?? error.name,
      coded: error.name === 'LowbitError' && error.code !== 'internal',
      message: error.message,
      stack: error.stack?.split('\n').slice(1, 6),
      cause: error.cause && `${error.cause.stack ?? error.cause}`.split('\n').slice(0, 6),
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return row;
}

convertOne(JSON.parse(process.argv[2])).then((row) => console.log(`\n${JSON.stringify(row, infinite)}`));
