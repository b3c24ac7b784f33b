// Trains the model with TensorFlow.js on its WebAssembly backend and writes examples/moe-char-lm/model:
//
//   npm run moe:train
//
// Besides the prediction of the next character, training balances the load of the experts (Fedus et al. 2022, "Switch
// Transformers", eq. 4) and for small router logits (Zoph et al. 2022, "ST-MoE", eq. 5). And it shows the model what
// routing with a cache does, as a model that learned with one choice of experts only has no use for another: in the first
// part, a random set of experts in each sequence and layer gets a bonus of random size when experts are ranked; in the
// second, which goes on with the model of the first (--continue), those in an LRU cache of a quarter of them do.

const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-wasm');
require('@tensorflow/tfjs-layers'); // brings the gradients
const { makeNormal, makeRandom } = require('./random.js');
const { context, experts, layers, topK } = require('./shape.js');
const { network, weightShapes } = require('./network.js');
const { bigramBits, readText } = require('./text.js');
const { loadWeights, saveWeights } = require('./weights.js');

const CONTINUES = process.argv.includes('--continue');
const SEED = CONTINUES ? 7 : 6;
const STEPS = CONTINUES ? 100 : 800;
const SEQUENCES = 8;
const PEAK_LEARNING_RATE = CONTINUES ? 1.5e-3 : 3e-3;
const WARM_UP = 0.05;
const MAX_GRADIENT = 1;
const BALANCE = 0.01;
const ROUTER_Z = 1e-3;
/** The bonus is drawn from 0 to this many score ranges, the share of experts that get it from these bounds. */
const MAX_BONUS = 0.4;
const RESIDENT = [0.2, 0.5];
const CACHED = experts / 4;
const EVALUATED = 40;

const random = makeRandom(SEED);
const text = readText();

function makeVariables() {
  if (CONTINUES) {
    const { tensors } = loadWeights();
    return Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, tf.variable(tensor, true, name)]),
    );
  }
  const normal = makeNormal(random);
  const variables = {};
  for (const [name, shape, deviation] of weightShapes(text.vocabulary.length)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => (deviation === 0 ? 1 : normal() * deviation));
    variables[name] = tf.variable(tf.tensor(values, shape), true, name);
  }
  return variables;
}

/** The greatest topK of each row of scores [rows, experts]. */
function best(scores) {
  const rows = scores.length / experts;
  const picks = new Int32Array(rows * topK);
  for (let row = 0; row < rows; row++) {
    const left = scores.slice(row * experts, (row + 1) * experts);
    for (let k = 0; k < topK; k++) {
      let pick = 0;
      for (let e = 1; e < experts; e++) if (left[e] > left[pick]) pick = e;
      picks[row * topK + k] = pick;
      left[pick] = Number.NEGATIVE_INFINITY;
    }
  }
  return picks;
}

/** Mean over the rows of the greatest score less the least. */
function meanRange(scores) {
  let sum = 0;
  for (let first = 0; first < scores.length; first += experts) {
    let least = scores[first];
    let greatest = scores[first];
    for (let i = first + 1; i < first + experts; i++) {
      if (scores[i] < least) least = scores[i];
      else if (scores[i] > greatest) greatest = scores[i];
    }
    sum += greatest - least;
  }
  return sum / (scores.length / experts);
}

/** Top-k as if a random set of experts were in memory, another one in each sequence. */
function routeAsIfCached(_layer, logits) {
  const scores = logits.slice();
  const range = meanRange(logits);
  for (let first = 0; first < scores.length; first += context * experts) {
    const bonus = random() * MAX_BONUS * range;
    const share = RESIDENT[0] + random() * (RESIDENT[1] - RESIDENT[0]);
    const bonuses = Float32Array.from({ length: experts }, () => (random() < share ? bonus : 0));
    for (let i = 0; i < context * experts; i++) scores[first + i] += bonuses[i % experts];
  }
  return best(scores);
}

/** Top-k as an LRU cache of the layer's experts has it, in each sequence from a random state on. */
function routeThroughCaches(_layer, logits) {
  const picks = new Int32Array((logits.length / experts) * topK);
  const range = meanRange(logits);
  for (let first = 0; first < picks.length; first += context * topK) {
    const bonus = random() * MAX_BONUS * range;
    const cached = new Set(Array.from({ length: CACHED }, () => Math.floor(random() * experts)));
    for (let at = first; at < first + context * topK; at += topK) {
      const scores = logits.slice((at / topK) * experts, (at / topK + 1) * experts);
      for (const expert of cached) scores[expert] += bonus;
      const chosen = best(scores);
      picks.set(chosen, at);
      for (const expert of chosen) {
        cached.delete(expert); // a set is in order of insertion: the least recently used comes first
        cached.add(expert);
        if (cached.size > CACHED) cached.delete(cached.values().next().value);
      }
    }
  }
  return picks;
}

const plainly = (_layer, logits) => best(logits);

function crossEntropy(logits, targets) {
  const wanted = tf.cast(tf.oneHot(tf.tensor1d(targets, 'int32'), text.vocabulary.length), 'float32');
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), wanted), 1)));
}

/** experts * sum over them of share of the picks * mean probability: 1 where both are even. */
function imbalance(logits, picks) {
  const shares = new Float32Array(experts);
  for (const pick of picks) shares[pick] += 1 / picks.length;
  return tf.mul(experts, tf.sum(tf.mul(tf.mean(tf.softmax(logits), 0), tf.tensor1d(shares))));
}

function routerZ(logits) {
  return tf.mean(tf.square(tf.log(tf.sum(tf.exp(logits), 1))));
}

function drawBatch() {
  const inputs = new Int32Array(SEQUENCES * context);
  const targets = new Int32Array(SEQUENCES * context);
  for (let s = 0; s < SEQUENCES; s++) {
    const start = Math.floor(random() * (text.training.length - context));
    inputs.set(text.training.subarray(start, start + context), s * context);
    targets.set(text.training.subarray(start + 1, start + context + 1), s * context);
  }
  return { inputs, targets };
}

/** Bits a character over the second halves of held-out sequences, whose characters all have half a context or more. */
function heldOutBits(weights) {
  const stride = Math.floor((text.heldOut.length - context - 1) / EVALUATED);
  let bits = 0;
  for (let i = 0; i < EVALUATED; i++) {
    const start = i * stride;
    const inputs = text.heldOut.subarray(start, start + context);
    const targets = text.heldOut.subarray(start + 1, start + context + 1);
    bits += tf.tidy(() => {
      const logits = network(weights, inputs, context, plainly);
      const half = context / 2;
      const later = tf.slice(logits, [half, 0], [half, -1]);
      return crossEntropy(later, targets.subarray(half)).dataSync()[0];
    });
  }
  return bits / EVALUATED / Math.LN2;
}

function schedule(progress) {
  return (
    PEAK_LEARNING_RATE * Math.min(1, (progress + 1e-3) / WARM_UP) * 0.5 * (1 + Math.cos(Math.PI * progress))
  );
}

/** Gradients whose common norm is at most MAX_GRADIENT. */
function clip(gradients) {
  const norm = Math.sqrt(
    Object.values(gradients).reduce((sum, g) => sum + tf.sum(tf.square(g)).dataSync()[0], 0),
  );
  const by = Math.min(1, MAX_GRADIENT / norm);
  return Object.fromEntries(Object.entries(gradients).map(([name, g]) => [name, tf.mul(g, by)]));
}

function step(weights, optimizer) {
  return tf.tidy(() => {
    const { inputs, targets } = drawBatch();
    let entropy = 0;
    let balance = 0;
    const { grads } = tf.variableGrads(() => {
      let extra = tf.scalar(0);
      const onRouting = (_layer, logits, picks) => {
        const uneven = imbalance(logits, picks);
        balance += uneven.dataSync()[0] / layers;
        extra = tf.add(extra, tf.add(tf.mul(BALANCE, uneven), tf.mul(ROUTER_Z, routerZ(logits))));
      };
      const loss = crossEntropy(
        network(weights, inputs, context, CONTINUES ? routeThroughCaches : routeAsIfCached, onRouting),
        targets,
      );
      entropy = loss.dataSync()[0];
      return tf.add(loss, extra);
    });
    optimizer.applyGradients(clip(grads));
    return { bits: entropy / Math.LN2, balance };
  });
}

async function main() {
  await tf.setBackend('wasm');
  console.log(`bigrams: ${bigramBits(text).toFixed(3)} bits a held-out character`);
  const weights = makeVariables();
  const optimizer = tf.train.adam(PEAK_LEARNING_RATE, 0.9, 0.99);
  const start = process.cpuUsage();
  let bits = 0;
  for (let i = 1; i <= STEPS; i++) {
    optimizer.learningRate = schedule((i - 1) / STEPS);
    const now = step(weights, optimizer);
    bits = i === 1 ? now.bits : bits + 0.05 * (now.bits - bits);
    if (i % 20 === 0) {
      const seconds = process.cpuUsage(start).user / 1e6;
      console.log(
        `step ${i}: ${bits.toFixed(3)} bits a character, imbalance ${now.balance.toFixed(2)}, ${seconds.toFixed(0)} s`,
      );
    }
    if (i % 100 === 0 || i === STEPS) {
      saveWeights(weights, text.vocabulary);
      const held = heldOutBits(weights);
      console.log(`held out: ${held.toFixed(3)} bits a character, perplexity ${(2 ** held).toFixed(3)}`);
    }
  }
}

main();
