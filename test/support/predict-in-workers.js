// Predicts with each of the models given in the main thread and then, in parallel, with all of them in turn in two
// worker threads; prints how many answers differ from the first.

const path = require('node:path');
const { isMainThread, Worker, workerData, parentPort } = require('node:worker_threads');
require('@tensorflow/tfjs-backend-cpu');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
require(path.join(__dirname, '..', '..', 'dist', 'src', 'index.node.js'));

const PREDICTIONS = 200;

/** @returns for each model its answers */
async function answers(locations, count) {
  await tf.setBackend('cpu');
  const models = await Promise.all(locations.map((location) => loadGraphModel(`file://${location}`)));
  const inputs = models.map((model) => {
    const [, height, width, channels] = model.inputs[0].shape;
    return tf.sin(tf.reshape(tf.range(0, height * width * channels), [1, height, width, channels]));
  });
  const found = models.map(() => []);
  for (let i = 0; i < count; i++) {
    models.forEach((model, m) => {
      found[m].push(tf.tidy(() => [].concat(model.predict(inputs[m]))[0].dataSync().join()));
    });
  }
  for (const model of models) model.dispose();
  return found;
}

async function main() {
  const locations = process.argv.slice(2);
  const expected = await answers(locations, 1);
  const workers = [0, 1].map(() => new Worker(__filename, { workerData: locations }));
  const found = await Promise.all(
    workers.map(
      (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
    ),
  );
  const wrong = found.flatMap((ofWorker) =>
    ofWorker.flatMap((ofModel, m) => ofModel.filter((answer) => answer !== expected[m][0])),
  );
  const predictions = found.flat(2).length;
  console.log(JSON.stringify({ workers: workers.length, predictions, wrong: wrong.length }));
}

if (isMainThread) {
  main();
} else {
  answers(workerData, PREDICTIONS).then((found) => parentPort.postMessage(found));
}
