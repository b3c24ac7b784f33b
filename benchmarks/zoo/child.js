/** Converts one model with nothing but its data, and compares it with float TF.js on samples that nobody has seen. */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const { engineInfo, setThreads } = require('../../dist/src/index.node');
const { convert, npzFile } = require('../../dist/src/convert');
const { Judge, realNumbers } = require('../../dist/src/evaluation/judge');
const { readModel } = require('../../dist/src/graph/read-model');
const { TASKS } = require('./tasks');
const { dataOf } = require('../convert-all/data');
const {
  execute,
  infinite,
  loadModel,
  onSomeBackend,
  outputNames,
  predict,
  take,
  tensorsOf,
} = require('../convert-all/models');

/** One sample of so many is kept for the test. */
const TEST_EVERY = 4;

const RUNS = 40;

async function* partOf(samples, test) {
  let index = 0;
  for await (const sample of samples) if ((index++ % TEST_EVERY === TEST_EVERY - 2) === test) yield sample;
}

/** What a model is converted with, and what it is tested on. */
function dataFor({ name, files }) {
  if (files) return { calibration: npzFile(files.calibration), test: npzFile(files.evaluation) };
  const source = dataOf(name);
  return {
    calibration: (inputs) => partOf(source(inputs), false),
    test: (inputs) => partOf(source(inputs), true),
  };
}

/** Of an output of real numbers that has the same size for all samples. */
function judge(key, float, lowbit) {
  const [first] = float;
  const alike = [...float, ...lowbit].every(({ values }) => values.length === first.values.length);
  return first.dtype === 'float32' && alike ? realNumbers(key, float, lowbit) : { output: key };
}

/** Figures of what outputs are selected from, and the names of these outputs. */
async function judgeSelections(input, converted, samples) {
  const [float, lowbit] = await Promise.all([readModel(input), readModel(converted, { converted: true })]);
  const judge = await Judge.of(float, samples, (node) => lowbit.nodes.has(node));
  if (judge.selections.size === 0) return { selected: judge.selections, sources: [] };
  const { outputs } = await judge.measure(lowbit);
  const isOutput = ({ output }) => float.outputs.some(({ name }) => name === output);
  return { selected: judge.selections, sources: outputs.filter((each) => !isOutput(each)) };
}

/** A model's own score, in words. */
async function judgeTask(task, models, specs, held, keys) {
  const score = task.score();
  const samples = task.samples ? take(task.samples(specs), task.count) : held.map((sample) => ({ sample }));
  for await (const { sample, label } of samples) {
    const outputs = {};
    for (const which of ['float', 'lowbit']) {
      const results = await predict(models[which], sample, keys);
      outputs[which] = Object.fromEntries(keys.map((key, i) => [key, results[i]]));
    }
    score.add(outputs.float, outputs.lowbit, label);
  }
  return task.describe(score.result());
}

/**
 * The least processor time of interleaved predictions, which take one thread each: what else runs on the machine only adds to
 * the time on the clock.
 */
async function time(models, sample, keys) {
  const tensors = tensorsOf(sample);
  const times = { float: [], lowbit: [] };
  for (let i = -3; i < RUNS; i++) {
    for (const name of ['float', 'lowbit']) {
      const start = process.cpuUsage();
      const results = await execute(models[name], tensors, keys);
      for (const t of results) if (t.dtype !== 'string') t.dataSync();
      const { user, system } = process.cpuUsage(start);
      if (i >= 0) times[name].push((user + system) / 1e3);
      tf.dispose(results);
    }
  }
  tf.dispose(tensors);
  return { float: Math.min(...times.float), lowbit: Math.min(...times.lowbit) };
}

async function tryModel(job) {
  const { name, input, samples, tests, options, withoutData } = job;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tfjs-lowbit-zoo-'));
  const data = dataFor(job);
  const row = { name };
  try {
    const { inputs: specs } = await readModel(input);
    const start = performance.now();
    const cpu = process.cpuUsage();
    const report = await convert({
      input,
      output: path.join(folder, 'out'),
      ...(!withoutData && { calibration: (inputs) => take(data.calibration(inputs), samples) }),
      ...options,
    });
    row.seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    row.cpuSeconds = (user + system) / 1e6;
    const { recipe, bytes, macs, config, warnings } = report;
    Object.assign(row, { recipe, bytes, warnings, integerPercent: macs.integerPercent });
    row.percent = macs.percent;
    row.products = { all: macs.products, float: macs.floatProducts.length };
    const precisions = config.layers.flatMap(
      ({ activations, bits }) => activations ?? (bits === 'float' ? 'float' : []),
    );
    row.layers = Object.fromEntries(
      ['dynamic', 'int16', 'float'].map((p) => [p, precisions.filter((q) => q === p).length]),
    );
    row.settings = ['errorFeedback', 'equalize'].filter((key) => config[key]);
    if (config.calibration.method !== 'mse') row.settings.push(config.calibration.method);
    const held = [];
    for await (const sample of take(data.test(specs), tests)) held.push(sample);
    row.tests = held.length;
    wasm.setThreadsCount(1);
    setThreads(1);
    const { results: measured, backend } = await onSomeBackend(async () => {
      const models = {
        float: await loadModel(input),
        lowbit: await loadGraphModel(`file://${folder}/out/model.json`),
      };
      const keys = outputNames(models.lowbit);
      const results = { float: [], lowbit: [] };
      for (const sample of held) {
        for (const which of ['float', 'lowbit'])
          results[which].push(await predict(models[which], sample, keys));
      }
      return {
        outputs: keys.map((key, k) => {
          const [float, lowbit] = ['float', 'lowbit'].map((which) => results[which].map((each) => each[k]));
          return judge(key, float, lowbit);
        }),
        milliseconds: await time(models, held[0], keys),
        ...(TASKS[name] && { task: await judgeTask(TASKS[name], models, specs, held, keys) }),
      };
    });
    const { selected, sources } = await judgeSelections(input, path.join(folder, 'out', 'model.json'), held);
    row.selections = Object.fromEntries(selected);
    measured.outputs = [...measured.outputs.filter(({ output }) => !selected.has(output)), ...sources];
    Object.assign(row, measured, { backend, isa: engineInfo().isa });
  } catch (error) {
    row.error = { code: error.code ?? error.name, message: error.message, stack: error.stack };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return row;
}

tryModel(JSON.parse(process.argv[2])).then((row) => console.log(`\n${JSON.stringify(row, infinite)}`));
