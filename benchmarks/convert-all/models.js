/** Float and converted models on TF.js, whatever their inputs are. */
const fs = require('node:fs');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
const { fileSystem } = require('../../dist/src/index.node');

require('@tensorflow/tfjs-backend-wasm');
require('@tensorflow/tfjs-backend-cpu');

/** The samples after the first ones. */
async function* take(source, count, skip = 0) {
  let index = 0;
  for await (const sample of source) {
    if (index++ < skip) continue;
    if (index > skip + count) return;
    yield sample;
  }
}

/** @param location path of a graph model or a layers model */
async function loadModel(location) {
  const { modelTopology } = JSON.parse(fs.readFileSync(location, 'utf8'));
  if (modelTopology.node) return loadGraphModel(fileSystem(location));
  return require('@tensorflow/tfjs-layers').loadLayersModel(fileSystem(location));
}

/** Names of the outputs of a graph model. */
function outputNames(model) {
  const { outputs } = model.modelSignature ?? {};
  return outputs && Object.keys(outputs).length > 0 ? Object.keys(outputs) : model.outputNodes;
}

function tensorsOf(sample) {
  const entries = Object.entries(sample).map(([name, { values, shape, dtype }]) => [
    name,
    tf.tensor(values, [...shape], dtype),
  ]);
  return Object.fromEntries(entries);
}

/** Results as tensors, which the caller disposes. */
async function execute(model, tensors, names) {
  return [
    model.executeAsync ? await model.executeAsync(tensors, names) : model.predict(Object.values(tensors)),
  ].flat();
}

/** Results as numbers. */
async function predict(model, sample, names) {
  const tensors = tensorsOf(sample);
  const results = await execute(model, tensors, names);
  const outputs = results.map(({ dtype, shape }, i) => ({
    dtype,
    shape,
    values: dtype === 'string' ? [] : results[i].dataSync(),
  }));
  tf.dispose([results, tensors]);
  return outputs;
}

/** On the WebAssembly backend if that can run the model; TF.js disposes too early in some loops over lists. */
async function onSomeBackend(body) {
  for (const backend of ['wasm', 'cpu', 'cpu, keeping tensors']) {
    await tf.setBackend(backend.split(',')[0]);
    tf.env().set('KEEP_INTERMEDIATE_TENSORS', backend.includes('keeping'));
    try {
      return { results: await body(), backend };
    } catch (error) {
      if (backend.includes('keeping')) throw error;
    }
  }
}

/** For JSON, which has no infinities. */
const infinite = (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

module.exports = { execute, infinite, loadModel, onSomeBackend, outputNames, predict, take, tensorsOf };
