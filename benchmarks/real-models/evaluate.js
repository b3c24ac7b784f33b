/** Converts a model, runs float and converted model on the same data, and reports which targets are met. */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
const { fileSystem, setThreads } = require('../../dist/src/index.node');
const { convert } = require('../../dist/src/convert');
const { shared } = require('./samples');

require('@tensorflow/tfjs-backend-wasm');

/** The samples without their labels, as `convert` takes them. */
function withoutLabels(items) {
  return async function* (inputs) {
    for await (const { sample } of items(inputs)) yield sample;
  };
}

/** A loaded model as a function of named data: `{ outputs, ms }`, timed from input data to output data. */
class Model {
  static async load(location) {
    const { format } = JSON.parse(fs.readFileSync(location, 'utf8'));
    const handler = fileSystem(location);
    return format === 'graph-model'
      ? new Model(await loadGraphModel(handler))
      : new Model(await require('@tensorflow/tfjs-layers').loadLayersModel(handler));
  }

  constructor(model) {
    this.model = model;
  }

  run(sample, names) {
    const start = performance.now();
    const tensors = Object.fromEntries(
      Object.entries(sample).map(([name, { values, shape, dtype }]) => [
        name,
        tf.tensor(values, shape, dtype),
      ]),
    );
    const results = [
      this.model.modelSignature === undefined
        ? this.model.predict(Object.values(tensors))
        : this.model.execute(tensors, names),
    ].flat();
    // Not within tf.tidy: it looks for tensors in every element of the data that is returned from it.
    const outputs = Object.fromEntries(
      results.map((t, i) => [names[i], { shape: t.shape, values: t.dataSync() }]),
    );
    tf.dispose([results, tensors]);
    return { outputs, ms: performance.now() - start };
  }

  dispose() {
    this.model.dispose();
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.floor(sorted.length / 2)];
}

/** The first samples run while the machine code is still being made: they are judged, but not timed. */
const WARM_UP = 3;

/**
 * @param model an entry of MODELS
 * @param options.samples how many samples to judge at most, default all
 * @param options.calibrationSamples how many to calibrate on
 * @param options.threads of the converted model; the float one has one
 * @param options.convert further options of `convert`
 */
async function evaluate(
  model,
  { samples = Number.POSITIVE_INFINITY, calibrationSamples, threads = 1, ...options } = {},
) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tfjs-lowbit-real-models-'));
  try {
    const input = shared('models', model.name, 'model.json');
    const report = await convert({
      input,
      output: path.join(folder, 'int8'),
      calibration: withoutLabels(model.calibration),
      samples: calibrationSamples,
      recipe: 'fast',
      ...model.convert,
      ...options.convert,
    });
    await tf.setBackend('wasm');
    setThreads(threads);
    const float = await Model.load(input);
    const converted = await Model.load(path.join(folder, 'int8', 'model.json'));
    const { inputs, outputs } = converted.model.modelSignature;
    const names = Object.keys(outputs);
    const score = model.score();
    const times = { float: [], lowbit: [] };
    let seen = 0;
    const specs = Object.entries(inputs).map(([name, { dtype, tensorShape }]) => ({
      name,
      dtype: dtype === 'DT_FLOAT' ? 'float32' : 'int32',
      shape: tensorShape.dim.map(({ size }) => Number(size)),
    }));
    for await (const { sample, label } of model.evaluation(specs)) {
      const [a, b] = [float.run(sample, names), converted.run(sample, names)];
      score.add(a.outputs, b.outputs, label);
      if (++seen > WARM_UP) {
        times.float.push(a.ms);
        times.lowbit.push(b.ms);
      }
      if (seen >= samples) break;
    }
    float.dispose();
    converted.dispose();
    const figures = score.result();
    return {
      name: model.name,
      samples: seen,
      options: { ...model.convert, ...options.convert },
      figures,
      targets: model.targets.map(([figure, sense, target]) => ({
        figure,
        sense,
        target,
        value: figures[figure],
        met: sense === 'most' ? figures[figure] <= target : figures[figure] >= target,
      })),
      macs: report.macs,
      quantized: report.quantized.length,
      float: report.float,
      regions: report.regions,
      bytes: report.bytes,
      bitsPerWeight: report.bitsPerWeight,
      allocation: report.allocation,
      accuracy: report.accuracy,
      tuning: report.tuning,
      calibration: report.calibration,
      times: { float: median(times.float), lowbit: median(times.lowbit), threads },
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { evaluate };
