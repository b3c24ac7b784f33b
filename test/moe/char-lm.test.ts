// @needs engine
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-layers'; // brings the gradients
import * as tf from '@tensorflow/tfjs-core';
import { type MixtureOfExperts, type MixtureOptions, moe } from '../../src/moe/mixture';
import { Router } from '../../src/moe/router';
import { writeContainer } from '../../src/moe/store/container';
import { packExpert } from '../../src/moe/store/expert-bytes';
import { fileSource } from '../../src/moe/store/file-source';
import { describeWithShared } from '../support/shared';

const { CharModel, bitsPerCharacter, generate } = require('../../examples/moe-char-lm/model.js');
const { network, weightShapes } = require('../../examples/moe-char-lm/network.js');
const { makeNormal, makeRandom } = require('../../examples/moe-char-lm/random.js');
const { context, experts, hidden, layers, topK, width } = require('../../examples/moe-char-lm/shape.js');
const { bigramBits, encode, readText } = require('../../examples/moe-char-lm/text.js');
const { LAYOUT, expertsOf, loadWeights, saveWeights } = require('../../examples/moe-char-lm/weights.js');

type Tensors = Record<string, tf.Tensor2D>;

const SLOT_BYTES = 20480;
const PROMPT = 'First Citizen:\nBefore we proceed any further, hear me speak.\n';

let folder: string;
let container: string;
let weights: { vocabulary: string; tensors: Tensors };

beforeAll(async () => {
  await tf.setBackend('wasm');
  folder = await mkdtemp(join(tmpdir(), 'lowbit-char-lm-'));
  container = join(folder, 'experts.lbme');
  weights = loadWeights();
  function* packed() {
    for (const { layer, expert, weights: matrices } of expertsOf(weights)) {
      yield { layer, expert, precision: 0, bytes: packExpert(LAYOUT, matrices, { format: 'int8' }) };
    }
  }
  await writeContainer(
    container,
    { layers, experts, precisions: [{ name: 'int8', layout: LAYOUT }] },
    packed(),
  );
});

afterAll(() => rm(folder, { recursive: true }));

async function openMixture(share: number, options: Partial<MixtureOptions> = {}): Promise<MixtureOfExperts> {
  const budgetBytes = share * layers * experts * SLOT_BYTES;
  return moe({ source: await fileSource(container), budgetBytes, topK, ...options });
}

/** The mixtures in float, all experts in memory. */
function floatMixture() {
  const routers = Array.from({ length: layers }, () => new Router({ experts, topK }));
  const matrices = (layer: number) =>
    ['first', 'second'].map((which) => weights.tensors[`block${layer}/mixture/${which}`].dataSync());
  const blocks = Array.from({ length: layers }, (_, layer) => matrices(layer));
  return {
    forward(layer: number, x: Float32Array, logits: Float32Array) {
      const { ids, weights: gates } = routers[layer].route({ logits });
      const [first, second] = blocks[layer];
      const out = new Float32Array(width);
      ids.forEach((expert, k) => {
        for (let h = 0; h < hidden; h++) {
          let sum = 0;
          for (let i = 0; i < width; i++) sum += x[i] * first[(expert * width + i) * hidden + h];
          const inner = Math.max(0, sum) * gates[k];
          for (let i = 0; i < width; i++) out[i] += inner * second[(expert * hidden + h) * width + i];
        }
      });
      return out;
    },
  };
}

const plainly = (_layer: number, logits: Float32Array) => new Router({ experts, topK }).route({ logits }).ids;

async function logitsOf(model: { step(id: number): Promise<Float32Array> }, ids: Int32Array) {
  const rows: Float32Array[] = [];
  for (const id of ids) rows.push((await model.step(id)).slice());
  return rows;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(actual[i] - expected[i]));
  expect(actual).toHaveLength(expected.length);
  expect(largest).toBeLessThan(tolerance);
}

test('weights come back as written: float16, and experts within half a step of 255', async () => {
  const random = makeRandom(1);
  const drawn: Tensors = {};
  for (const [name, shape] of weightShapes(20)) {
    const size = shape.reduce((a: number, b: number) => a * b, 1);
    drawn[name] = tf.tensor(
      Float32Array.from({ length: size }, () => 2 * random() - 1),
      shape,
    );
  }
  const vocabulary = 'abcdefghijklmnopqrst';
  saveWeights(drawn, vocabulary, join(folder, 'copy'));
  const loaded = loadWeights(join(folder, 'copy'));
  expect(loaded.vocabulary).toBe(vocabulary);
  expect(Object.keys(loaded.tensors).sort()).toEqual(Object.keys(drawn).sort());
  for (const [name, tensor] of Object.entries(drawn)) {
    expect(loaded.tensors[name].shape).toEqual(tensor.shape);
    const step = /first|second/.test(name) ? 2 / 255 : 2 ** -10;
    expectClose(loaded.tensors[name].dataSync(), tensor.dataSync(), 0.51 * step);
  }
});

test('gradients written by hand are slopes of the loss', () => {
  const random = makeRandom(3);
  const normal = makeNormal(random);
  const length = 8;
  const variables: Record<string, tf.Variable> = {};
  for (const [name, shape, deviation] of weightShapes(10)) {
    const size = shape.reduce((a: number, b: number) => a * b, 1);
    const values = Float32Array.from({ length: size }, () => (deviation === 0 ? 1 : normal() * deviation));
    variables[name] = tf.variable(tf.tensor(values, shape), true, `test/${name}`);
  }
  const ids = Int32Array.from({ length: 2 * length }, () => Math.floor(random() * 10));
  const picks = Array.from({ length: layers }, () =>
    Int32Array.from({ length: ids.length * topK }, (_, i) => (i % topK) + topK * Math.floor(random() * 8)),
  );
  const wanted = tf.cast(tf.oneHot(tf.tensor1d(ids.slice().reverse(), 'int32'), 10), 'float32');
  const loss = () =>
    tf.neg(
      tf.mean(
        tf.sum(tf.mul(tf.logSoftmax(network(variables, ids, length, (l: number) => picks[l])), wanted), 1),
      ),
    ) as tf.Scalar;
  const { grads } = tf.variableGrads(loss);
  const names = ['gain', 'query', 'key', 'value'].map((name) => `block0/attention/${name}`);
  const mixtures = ['gain', 'router', 'first', 'second'].map((name) => `block1/mixture/${name}`);
  for (const name of ['embedding', ...names, ...mixtures]) {
    const variable = variables[name];
    const gradient = grads[`test/${name}`];
    const norm = tf.norm(gradient).dataSync()[0];
    const before = variable.clone();
    const at = (along: number) => {
      variable.assign(tf.add(before, tf.mul(gradient, along / norm)));
      return tf.tidy(loss).dataSync()[0];
    };
    const slope = (at(0.01) - at(-0.01)) / 0.02;
    variable.assign(before);
    expect(Math.abs(slope / norm - 1)).toBeLessThan(0.02);
  }
});

test('character by character it computes what TensorFlow.js does over the sequence', async () => {
  const ids: Int32Array = encode(PROMPT, weights.vocabulary);
  const expected = tf.tidy(() => network(weights.tensors, ids, ids.length, plainly).arraySync());
  const rows = await logitsOf(new CharModel(weights, floatMixture()), ids);
  rows.forEach((row, i) => {
    expectClose(row, expected[i], 2e-3);
  });
});

test('experts in INT8 from disk cost less than 1 % of the bits', async () => {
  const ids = encode(PROMPT.repeat(2), weights.vocabulary);
  const mixture = await openMixture(1);
  const bits = await bitsPerCharacter(new CharModel(weights, mixture), ids);
  const float = await bitsPerCharacter(new CharModel(weights, floatMixture()), ids);
  await mixture.close();
  expect(Math.abs(bits / float - 1)).toBeLessThan(0.01);
});

test('a cache changes nothing without a bonus, and with one the same text gives the same numbers', async () => {
  const ids = encode(PROMPT, weights.vocabulary);
  const run = async (share: number, bonus: number) => {
    const mixture = await openMixture(share, { bonus });
    const rows = await logitsOf(new CharModel(weights, mixture), ids);
    const { changed } = mixture.metrics.summary();
    await mixture.close();
    return { rows, changed };
  };
  const all = await run(1, 0);
  expect((await run(0.25, 0)).rows).toEqual(all.rows);
  const favoured = await run(0.25, 0.2);
  expect(favoured.changed).toBeGreaterThan(0.05);
  expect((await run(0.25, 0.2)).rows).toEqual(favoured.rows);
});

test('starts anew after a reset', async () => {
  const model = new CharModel(weights, floatMixture());
  const ids = encode(PROMPT, weights.vocabulary);
  await logitsOf(model, ids);
  model.reset();
  const again = await logitsOf(model, ids);
  const fresh = await logitsOf(new CharModel(weights, floatMixture()), ids);
  expect(again).toEqual(fresh);
});

test('writes text, the same from the same seed', async () => {
  const write = async (seed: number) => {
    const mixture = await openMixture(0.25, { bonus: 0.2 });
    let text = '';
    const options = { temperature: 0.8, random: makeRandom(seed) };
    for await (const character of generate(
      new CharModel(weights, mixture),
      encode('ROMEO:', weights.vocabulary),
      context,
      options,
    )) {
      text += character;
    }
    await mixture.close();
    return text;
  };
  const text = await write(1);
  expect(text).toHaveLength(context);
  expect(await write(1)).toBe(text);
  expect(await write(2)).not.toBe(text);
});

describeWithShared('held-out text', () => {
  test('is read in far fewer bits than pairs of characters allow', async () => {
    const text = readText();
    const mixture = await openMixture(1);
    const bits = await bitsPerCharacter(new CharModel(weights, mixture), text.heldOut.subarray(0, 600));
    await mixture.close();
    expect(bigramBits(text)).toBeCloseTo(3.581, 2);
    expect(bits).toBeLessThan(2.85);
  });
});
