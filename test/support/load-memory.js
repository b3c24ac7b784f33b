// Loads a model of the build and predicts once; prints by how many bytes the resident set grew at most. `maxRSS` of the
// resource usage would count the process that started this one.

const { readFileSync } = require('node:fs');
const path = require('node:path');
require('@tensorflow/tfjs-backend-cpu');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
const { fileSystem, engineInfo } = require(path.join(__dirname, '..', '..', 'dist', 'src', 'index.node.js'));

/** Of the highest point so far. */
const peak = () => 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);

async function main(location) {
  await tf.setBackend('cpu');
  tf.tidy(() => tf.add(1, 1).dataSync());
  engineInfo();
  const before = process.memoryUsage.rss();
  const model = await loadGraphModel(fileSystem(location));
  const shape = model.inputs[0].shape.map((size) => Math.max(size, 1));
  tf.tidy(() => model.predict(tf.ones(shape)).dataSync());
  console.log(JSON.stringify({ growth: peak() - before }));
}

main(process.argv[2]);
