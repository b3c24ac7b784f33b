// @needs engine
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
// Registers gradients.
import '@tensorflow/tfjs-layers';
import { floatMixture } from '../../src/moe/float-mixture';
import { Router } from '../../src/moe/router';
import { forEachCase, type Random } from '../support/random';

const WIDTH = 3;
const HIDDEN = 5;

const numbers = (random: Random, count: number) =>
  Float32Array.from({ length: count }, () => random.real(-1, 1));

interface Drawn {
  experts: number;
  topK: number;
  rows: number[][];
  logits: number[][];
  up: Float32Array;
  upBias: Float32Array;
  down: Float32Array;
  downBias: Float32Array;
}

/** The definition, one token at a time in float64. */
function expected({ experts, topK, rows, logits, up, upBias, down, downBias }: Drawn): number[] {
  return rows.flatMap((x, token) => {
    const scores = logits[token]!.map((score) =>
      Number.isNaN(score) ? -3e38 : Math.max(-3e38, Math.min(score, 3e38)),
    );
    const ids = scores
      .map((_, e) => e)
      .sort((a, b) => scores[b]! - scores[a]! || a - b)
      .slice(0, topK);
    const masses = ids.map((e) => Math.exp(scores[e]! - scores[ids[0]!]!));
    const whole = masses.reduce((a, b) => a + b);
    const out = new Array<number>(WIDTH).fill(0);
    ids.forEach((e, place) => {
      const inner = Array.from({ length: HIDDEN }, (_, h) =>
        x.reduce((sum, value, i) => sum + value * up[(e * WIDTH + i) * HIDDEN + h]!, upBias[e * HIDDEN + h]!),
      ).map((value) => Math.max(value, 0));
      for (let i = 0; i < WIDTH; i++) {
        const result = inner.reduce(
          (sum, value, h) => sum + value * down[(e * HIDDEN + h) * WIDTH + i]!,
          downBias[e * WIDTH + i]!,
        );
        out[i]! += (masses[place]! / whole) * result;
      }
    });
    expect(experts).toBe(scores.length);
    return out;
  });
}

function draw(random: Random): Drawn {
  const experts = random.int(2, 9);
  const tokens = random.int(1, 5);
  const odd = random.chance(0.3);
  const logit = () =>
    odd && random.chance(0.3)
      ? random.pick([Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
      : random.int(-2, 2) / 2;
  return {
    experts,
    topK: random.int(1, experts),
    rows: Array.from({ length: tokens }, () => [...numbers(random, WIDTH)]),
    // The first is a row of padding, whose logits are all equal.
    logits: Array.from({ length: tokens }, (_, t) =>
      Array.from({ length: experts }, () => (t === 0 ? 0 : logit())),
    ),
    up: numbers(random, experts * WIDTH * HIDDEN),
    upBias: numbers(random, experts * HIDDEN),
    down: numbers(random, experts * HIDDEN * WIDTH),
    downBias: numbers(random, experts * WIDTH),
  };
}

function run(drawn: Drawn, logits = tf.tensor2d(drawn.logits)) {
  const { experts, topK, rows } = drawn;
  return floatMixture(
    tf.tensor2d(rows),
    logits,
    {
      up: tf.tensor(drawn.up, [experts, WIDTH, HIDDEN]),
      upBias: tf.tensor(drawn.upBias, [experts, HIDDEN]),
      down: tf.tensor(drawn.down, [experts, HIDDEN, WIDTH]),
      downBias: tf.tensor(drawn.downBias, [experts, WIDTH]),
    },
    { topK, activation: 'relu' },
  );
}

describe.each(['cpu', 'wasm'])('on the %s backend', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test('of tied experts those with the lowest numbers compute, as the definition says', () =>
    forEachCase('float mixture', 60, async (random) => {
      const drawn = draw(random);
      const out = await run(drawn).out.data();
      expected(drawn).forEach((value, i) => {
        expect(Math.abs(out[i]! - value)).toBeLessThan(1e-4);
      });
    }));

  test('the same experts are chosen as by the router', () =>
    forEachCase('float mixture and router', 40, async (random) => {
      const drawn = draw(random);
      const { experts, topK, logits } = drawn;
      const scored = logits.map((row) =>
        row.some((x) => x > Number.NEGATIVE_INFINITY) ? row : row.map(() => 1),
      );
      const mask = await run({ ...drawn, logits: scored }).mask.array();
      const { ids } = new Router({ experts, topK }).route({ logits: Float32Array.from(scored.flat()) });
      (mask as number[][]).forEach((row, token) => {
        const chosen = row.flatMap((of, e) => (of === 1 ? [e] : []));
        const own = [...ids.subarray(token * topK, (token + 1) * topK)].sort((a, b) => a - b);
        expect(chosen).toEqual(own);
      });
    }));
});

test('gradients are finite where logits tie or are NaN', async () => {
  await tf.setBackend('cpu');
  await forEachCase('float mixture gradients', 20, async (random) => {
    const drawn = draw(random);
    const gradient = tf.grad((logits) => tf.sum(run(drawn, logits as tf.Tensor2D).out))(
      tf.tensor2d(drawn.logits),
    );
    expect([...(await gradient.data())].every(Number.isFinite)).toBe(true);
  });
});
