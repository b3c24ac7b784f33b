#!/usr/bin/env node
/**
 * Trains the table of the format trellis2 on N(0, 1) and prints it (npm run train:trellis; some minutes).
 *
 * A generalised Lloyd iteration: each weight is coded with the table as it is, and each level becomes the mean of the
 * weights that chose it. It ends in a local minimum; hops from there, on few weights, find better ones. Then levels become
 * integers, and each is moved by one as long as that lowers the error.
 */
const { gaussian, uniform } = require('../dist/src/quantization/distributions');
const { Viterbi } = require('../dist/src/quantization/formats/viterbi');

const LEVELS = 16;
const STRIDE = 4;
const HOPS = 600;

let seed = 4;

function sample(count) {
  const values = gaussian(count, seed++);
  return { values, ones: new Float64Array(count).fill(1), codes: new Uint8Array(count) };
}

/** Codes a sample with a table at a step; calls `each` with the weight and the index of its level. */
function encode({ values, ones, codes }, levels, step, each) {
  new Viterbi(levels, values.length).encode(values, ones, { steps: Float64Array.of(step), group: 0 }, codes);
  for (let k = 0; k < values.length; k++)
    each(values[k], (k < STRIDE ? 0 : codes[k - STRIDE]) | (codes[k] << 2));
}

/** The error of a table at the step, of a few near `step`, that serves it best. */
function measure(weights, levels, step, spread = 0) {
  let best = { error: Number.POSITIVE_INFINITY, step };
  for (let factor = 1 - spread; factor <= 1 + spread; factor += spread / 8 || 1) {
    let error = 0;
    let power = 0;
    encode(weights, levels, step * factor, (value, i) => {
      error += (value - levels[i] * step * factor) ** 2;
      power += value ** 2;
    });
    if (error / power < best.error) best = { error: error / power, step: step * factor };
  }
  return { levels, ...best };
}

function lloyd(weights, start, iterations) {
  let levels = start;
  for (let i = 0; i < iterations; i++) {
    const sums = new Float64Array(LEVELS);
    const counts = new Float64Array(LEVELS);
    encode(weights, levels, 1, (value, index) => {
      sums[index] += value;
      counts[index]++;
    });
    levels = levels.map((level, index) => (counts[index] > 0 ? sums[index] / counts[index] : level));
  }
  return measure(weights, levels, 1);
}

/** Rounds a table to integers of at most `largest`, at the scale that serves best, and mends them one by one. */
function toIntegers(weights, levels, largest) {
  const max = Math.max(...levels.map(Math.abs));
  const clamp = (level) => Math.max(-largest, Math.min(largest, level));
  let best = { error: Number.POSITIVE_INFINITY };
  for (let share = 1; share > 0.85; share *= 0.985) {
    const scale = (largest / max) * share;
    const rounded = measure(
      weights,
      levels.map((level) => clamp(Math.round(level * scale))),
      1 / scale,
      0.04,
    );
    if (rounded.error < best.error) best = rounded;
  }
  for (let before = Number.POSITIVE_INFINITY; best.error < before; ) {
    before = best.error;
    for (let i = 0; i < LEVELS; i++) {
      for (const change of [-1, 1]) {
        const levels = best.levels.with(i, clamp(best.levels[i] + change));
        const moved = measure(weights, levels, best.step);
        if (moved.error < best.error) best = moved;
      }
    }
    const rescaled = measure(weights, best.levels, best.step, 0.01);
    if (rescaled.error < best.error) best = rescaled;
  }
  return best;
}

/** Exchanges one to three pairs of levels and trains again, and keeps what is better. */
function hop(weights, levels) {
  let best = lloyd(weights, levels, 30);
  for (let i = 0; i < HOPS; i++) {
    const changed = [...best.levels];
    for (let pair = 0; pair <= i % 3; pair++) {
      const [a, b] = Array.from(uniform(2, seed++), (value) => Math.floor(LEVELS * value));
      [changed[a], changed[b]] = [changed[b], changed[a]];
    }
    const trained = lloyd(weights, changed, 20);
    if (trained.error < best.error) best = trained;
  }
  return best;
}

const few = sample(20_000);
const many = sample(200_000);
const others = sample(400_000);

const { levels: chosen } = hop(few, Array.from(gaussian(LEVELS, seed++)));
const { levels: trained } = lloyd(many, chosen, 40);
console.log(`real levels: error ${measure(others, trained, 1).error.toFixed(5)}`);
for (const largest of [63, 31, 15]) {
  const { levels, step } = toIntegers(many, trained, largest);
  const tested = measure(others, levels, step, 0.01);
  console.log(
    `at most ${largest}: error ${tested.error.toFixed(5)}, levels [${levels.join(', ')}], ` +
      `${(1 / tested.step).toFixed(2)} levels a standard deviation`,
  );
}
