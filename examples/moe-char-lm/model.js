// The model, one character at a time: what runs. It holds all weights but the experts', which it gets from a provider.
//
// Of the network in network.js this is the same arithmetic, with keys and values kept from character to character. At 96
// channels a product is too small to be worth a call of a tensor library, so these are loops over arrays.

const { slope } = require('./network.js');
const { context, epsilon, experts, heads, layers, width } = require('./shape.js');

/**
 * The mixtures of all layers; `moe(...)` makes one that reads experts as they are needed.
 *
 * @typedef {object} Mixture
 * @property {(layer: number, x: Float32Array, logits: Float32Array) => Float32Array | Promise<Float32Array>} forward
 *   sum of the experts' results by gate weight: x [tokens, width], router logits [tokens, experts], result [tokens, width]
 */

/** out = x w; w is [x.length, out.length]. */
function multiply(x, w, out) {
  const columns = out.length;
  out.fill(0);
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    for (let j = 0; j < columns; j++) out[j] += value * w[i * columns + j];
  }
}

function normalize(x, gain, out) {
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i] * x[i];
  const inverse = 1 / Math.sqrt(squares / x.length + epsilon);
  for (let i = 0; i < x.length; i++) out[i] = x[i] * inverse * gain[i];
}

function addTo(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

const headWidth = width / heads;
const SLOPES = Array.from({ length: heads }, (_, head) => slope(head));

const BLOCK_WEIGHTS = [
  'attention/gain',
  'attention/query',
  'attention/key',
  'attention/value',
  'attention/output',
  'mixture/gain',
  'mixture/router',
];

class CharModel {
  /**
   * @param weights as `loadWeights` returns them
   * @param {Mixture} mixture
   * @param onRouting called with (layer, logits of the router) for each character in each layer
   */
  constructor({ tensors, vocabulary }, mixture, onRouting = () => {}) {
    this.vocabulary = vocabulary;
    this.mixture = mixture;
    this.onRouting = onRouting;
    const values = (name) => tensors[name].dataSync();
    this.weights = { embedding: values('embedding'), gain: values('gain'), output: values('output') };
    this.blocks = Array.from({ length: layers }, (_, layer) => ({
      ...Object.fromEntries(BLOCK_WEIGHTS.map((name) => [name, values(`block${layer}/${name}`)])),
      keys: new Float32Array(context * width),
      values: new Float32Array(context * width),
    }));
    const vector = (size) => new Float32Array(size);
    this.x = vector(width);
    this.normal = vector(width);
    this.query = vector(width);
    this.mixed = vector(width);
    this.output = vector(width);
    this.scores = vector(context);
    this.routerLogits = vector(experts);
    this.logits = vector(vocabulary.length);
    this.position = 0;
  }

  /** Forgets what was read. */
  reset() {
    this.position = 0;
  }

  /**
   * Reads a character.
   *
   * @param {number} character its place in the vocabulary
   * @returns {Promise<Float32Array>} logits of the next one, valid until the next call
   */
  async step(character) {
    const { x, normal, weights, logits } = this;
    x.set(weights.embedding.subarray(character * width, (character + 1) * width));
    for (let layer = 0; layer < layers; layer++) {
      this.attend(this.blocks[layer]);
      await this.mix(layer);
    }
    this.position++;
    normalize(x, weights.gain, normal);
    multiply(normal, weights.output, logits);
    return logits;
  }

  attend(block) {
    const { keys, values } = block;
    const { x, normal, query, mixed, output, scores, position } = this;
    normalize(x, block['attention/gain'], normal);
    multiply(normal, block['attention/query'], query);
    const row = (matrix, at) => matrix.subarray((at % context) * width, ((at % context) + 1) * width);
    multiply(normal, block['attention/key'], row(keys, position));
    multiply(normal, block['attention/value'], row(values, position));
    const first = Math.max(0, position - context + 1);
    mixed.fill(0);
    for (let head = 0; head < heads; head++) {
      const start = head * headWidth;
      let greatest = Number.NEGATIVE_INFINITY;
      for (let at = first; at <= position; at++) {
        const key = (at % context) * width + start;
        let score = 0;
        for (let c = 0; c < headWidth; c++) score += query[start + c] * keys[key + c];
        score = score * headWidth ** -0.5 - SLOPES[head] * (position - at);
        scores[at - first] = score;
        greatest = Math.max(greatest, score);
      }
      let sum = 0;
      for (let at = first; at <= position; at++) {
        const share = Math.exp(scores[at - first] - greatest);
        const value = (at % context) * width + start;
        sum += share;
        for (let c = 0; c < headWidth; c++) mixed[start + c] += share * values[value + c];
      }
      for (let c = 0; c < headWidth; c++) mixed[start + c] /= sum;
    }
    multiply(mixed, block['attention/output'], output);
    addTo(x, output);
  }

  async mix(layer) {
    const { x, normal, routerLogits, mixture } = this;
    const block = this.blocks[layer];
    normalize(x, block['mixture/gain'], normal);
    multiply(normal, block['mixture/router'], routerLogits);
    this.onRouting(layer, routerLogits);
    addTo(x, await mixture.forward(layer, normal, routerLogits));
  }
}

/** -log2 of the probability that logits give a character. */
function bitsOf(logits, character) {
  const greatest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, value) => total + Math.exp(value - greatest), 0);
  return (Math.log(sum) + greatest - logits[character]) / Math.LN2;
}

/** Mean bits of the characters of a text that stand behind the first `skipped`; perplexity is 2 to the power of it. */
async function bitsPerCharacter(model, ids, skipped = context / 2) {
  model.reset();
  let bits = 0;
  for (let i = 0; i + 1 < ids.length; i++) {
    const logits = await model.step(ids[i]);
    if (i >= skipped) bits += bitsOf(logits, ids[i + 1]);
  }
  return bits / (ids.length - 1 - skipped);
}

/** Draws a character of softmax(logits / temperature). */
function sample(logits, temperature, random) {
  const greatest = logits.reduce((a, b) => Math.max(a, b));
  const weights = Array.from(logits, (value) => Math.exp((value - greatest) / temperature));
  let left = random() * weights.reduce((a, b) => a + b);
  const drawn = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return drawn < 0 ? weights.length - 1 : drawn;
}

/** Goes on with a text, one character a time. */
async function* generate(model, prompt, count, { temperature = 0.8, random }) {
  model.reset();
  let logits;
  for (const id of prompt) logits = await model.step(id);
  for (let i = 0; i < count; i++) {
    const id = sample(logits, temperature, random);
    yield model.vocabulary[id];
    if (i + 1 < count) logits = await model.step(id);
  }
}

module.exports = { CharModel, bitsPerCharacter, generate };
