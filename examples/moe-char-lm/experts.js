// The experts as a container on disk, and the mixtures that read them within a budget of memory.

const fs = require('node:fs');
const path = require('node:path');
const { fileSource, moe, packExpert, writeContainer } = require('tfjs-lowbit/moe');
const { experts, layers, topK } = require('./shape.js');
const { LAYOUT, expertsOf } = require('./weights.js');

const CONTAINER = path.join(__dirname, '..', '..', 'build', 'moe-char-lm.lbme');

/** Writes the experts in INT8. */
async function writeExperts(weights, file = CONTAINER) {
  const format = { format: 'int8' };
  function* packed() {
    for (const { layer, expert, weights: matrices } of expertsOf(weights)) {
      yield { layer, expert, precision: 0, bytes: packExpert(LAYOUT, matrices, format) };
    }
  }
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const precisions = [{ name: 'int8', layout: LAYOUT }];
  await writeContainer(file, { layers, experts, precisions }, packed());
}

/** Bytes of memory that hold a share of all experts of a container. */
function budgetOf(source, share) {
  const largest = Math.max(...source.index.records.map(({ bytes }) => bytes));
  return Math.floor(share * layers * experts) * Math.ceil(largest / PAGE) * PAGE;
}

const PAGE = 4096;

/**
 * Opens the mixtures of all layers.
 *
 * @param share of all experts that fit in memory
 * @param options as `moe` takes them: bonus, protect, policy...
 */
async function openExperts(share, options = {}, file = CONTAINER) {
  const source = await fileSource(file, { direct: options.direct });
  return moe({ source, budgetBytes: budgetOf(source, share), topK, ...options });
}

module.exports = { CONTAINER, openExperts, writeExperts };
