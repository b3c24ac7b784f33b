// Predicts in the main thread and, in parallel, in two worker threads; prints how many answers differ from the first.

const path = require('node:path');
const { isMainThread, Worker, workerData, parentPort } = require('node:worker_threads');
require('@tensorflow/tfjs-backend-cpu');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
require(path.join(__dirname, '..', '..', 'dist', 'src', 'index.js'));

const PREDICTIONS = 200;

async function answers(location, count) {
  await tf.setBackend('cpu');
  const model = await loadGraphModel(`file://${location}`);
  const [, height, width, channels] = model.inputs[0].shape;
  const input = tf.sin(tf.reshape(tf.range(0, height * width * channels), [1, height, width, channels]));
  const found = [];
  for (let i = 0; i < count; i++)
    found.push(tf.tidy(() => [].concat(model.predict(input))[0].dataSync().join()));
  model.dispose();
  return found;
}

async function main() {
  const location = process.argv[2];
  const [expected] = await answers(location, 1);
  const workers = [0, 1].map(() => new Worker(__filename, { workerData: location }));
  const found = await Promise.all(
    workers.map(
      (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
    ),
  );
  const wrong = found.flat().filter((answer) => answer !== expected).length;
  console.log(JSON.stringify({ workers: workers.length, predictions: found.flat().length, wrong }));
}

if (isMainThread) {
  main();
} else {
  answers(workerData, PREDICTIONS).then((found) => parentPort.postMessage(found));
}
