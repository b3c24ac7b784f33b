// Records what the routers say to the characters of held-out text, for `tfjs-lowbit moe simulate`:
//
//   npm run moe:record -- --tokens 5000 --out shakespeare.moetrace

const { program } = require('commander');
require('@tensorflow/tfjs-backend-cpu'); // holds the weights
const { writeTrace } = require('tfjs-lowbit/moe');
const { openExperts, writeExperts } = require('./experts.js');
const { CharModel } = require('./model.js');
const { experts, layers, topK } = require('./shape.js');
const { readText } = require('./text.js');
const { loadWeights } = require('./weights.js');

async function main({ tokens, out }) {
  const weights = loadWeights();
  await writeExperts(weights);
  const mixture = await openExperts(1);
  const logits = new Float32Array(tokens * layers * experts);
  let at = 0;
  const model = new CharModel(weights, mixture, (_layer, row) => {
    logits.set(row, at);
    at += row.length;
  });
  for (const id of readText().heldOut.subarray(0, tokens)) await model.step(id);
  await mixture.close();
  const source = 'moe-char-lm, held-out Shakespeare, plain routing';
  await writeTrace(out, { tokens, layers, experts, topK, source, logits });
  console.log(`wrote ${out}: ${tokens} characters, ${(logits.byteLength / 1e6).toFixed(2)} MB`);
}

program
  .option('--tokens <count>', 'characters to record', Number, 5000)
  .requiredOption('--out <file>', 'where to write the trace')
  .action(main);

program.parseAsync();
