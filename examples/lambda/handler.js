// A function for AWS Lambda: POST {"shape": [1, 224, 224, 3], "values": [...]} gives the scores. docs/deploying.md tells how
// its zip is made.

const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-cpu');
require('tfjs-lowbit');

// Loaded when the machine starts, before the first request.
const loading = tf.setBackend('cpu').then(() => loadGraphModel(`file://${__dirname}/model/model.json`));

exports.handler = async ({ body }) => {
  const { shape, values } = JSON.parse(body);
  const model = await loading;
  const scores = tf.tidy(() => model.predict(tf.tensor(Float32Array.from(values), shape)));
  const answer = JSON.stringify([...(await scores.data())]);
  scores.dispose();
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: answer };
};
