// @needs engine
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { moeRoute } from '../../src/kernels.node';
import { Router, routerNumbers } from '../../src/moe/router';
import type { RouterNumbers } from '../../src/program/program';
import type { Engine } from '../../src/runtime/engine';
import { forEachCase, type Random } from '../support/random';
import { everyIsa } from '../support/run-engine';
import { routeToken } from './reference/route';

const engines = everyIsa();

interface Case {
  router: RouterNumbers;
  logits: Float32Array;
  tokens: number;
  bias?: Float32Array;
  resident?: Int32Array;
}

/** Few distinct values make ties; NaN, infinities and both zeros are among them. */
function drawLogit(random: Random, coarse: boolean): number {
  if (random.chance(0.02)) return random.pick([Number.NaN, Number.NEGATIVE_INFINITY, -0, 0]);
  return coarse ? random.int(-3, 3) / 2 : Math.fround(random.real(-8, 8));
}

function drawCase(random: Random): Case {
  const groups = random.chance(0.3) ? random.pick([2, 4, 8]) : 1;
  const size = random.chance(0.7) ? random.int(2, 40) : random.int(2, Math.floor(1024 / groups));
  const experts = groups * size;
  const topK = random.chance(0.5) ? 2 : random.int(1, Math.min(16, experts));
  const topGroups = random.int(Math.ceil(topK / size), groups);
  const tokens = random.chance(0.9) ? random.int(0, 9) : random.int(10, 150);
  const coarse = random.chance(0.4);
  const router: RouterNumbers = {
    experts,
    topK,
    sigmoid: random.chance(0.3),
    normalize: random.chance(0.7),
    weightScale: random.pick([1, 2.5]),
    bonus: random.pick([0, 0.5, Math.fround(random.real(0, 4))]),
    protect: random.chance(0.3) ? random.int(0, topK) : 0,
    groups,
    topGroups,
    groupTop: random.int(1, Math.min(2, size)),
  };
  return {
    router,
    tokens,
    logits: Float32Array.from({ length: tokens * experts }, () => drawLogit(random, coarse)),
    ...(random.chance(0.3) && { bias: Float32Array.from({ length: experts }, () => random.real(-1, 1)) }),
    ...(random.chance(0.7) && { resident: random.ints(experts, 0, 1) }),
  };
}

function route(engine: Engine, { router, logits, tokens, bias, resident }: Case) {
  const ids = new Int32Array(tokens * router.topK).fill(-1);
  const weights = new Float32Array(tokens * router.topK).fill(Number.NaN);
  const meanRange = new Float32Array(1);
  engine.route(router, { logits, tokens, bias, resident, ids, weights, meanRange });
  return { ids, weights, meanRange: meanRange[0]! };
}

test('routing equals sorting by score and bonus, with every instruction set', () =>
  forEachCase('route', 400, (random) => {
    const drawn = drawCase(random);
    const { router, logits, tokens } = drawn;
    const rows = Array.from({ length: tokens }, (_, t) => [
      ...logits.subarray(t * router.experts, (t + 1) * router.experts),
    ]);
    const expected = rows.map((row) =>
      routeToken(router, row, drawn.bias && [...drawn.bias], drawn.resident && [...drawn.resident]),
    );
    const bad = expected.indexOf(undefined);
    if (bad >= 0) {
      for (const engine of engines) expect(() => route(engine, drawn)).toThrow(`row ${bad} of the logits`);
      return;
    }
    const [scalar, ...others] = engines.map((engine) => route(engine, drawn));
    for (const other of others) expect(other).toEqual(scalar);
    expect([...scalar!.ids]).toEqual(expected.flatMap((token) => token!.ids));
    expected
      .flatMap((token) => token!.weights)
      .forEach((weight, i) => {
        expect(scalar!.weights[i]).toBeCloseTo(weight, 5);
      });
    const mean = expected.reduce((sum, token) => sum + token!.range, 0) / Math.max(tokens, 1);
    expect(scalar!.meanRange).toBeCloseTo(mean, 4);
  }));

test('a row of one value gives the first experts, and a bonus of 0 is plain top-k', () => {
  const logits = new Float32Array(64).fill(1.5);
  for (const engine of engines) {
    for (const topK of [1, 2, 3, 16]) {
      const router = routerNumbers({ experts: 64, topK });
      const { ids, weights } = route(engine, {
        router,
        logits,
        tokens: 1,
        resident: new Int32Array(64).fill(1),
      });
      expect([...ids]).toEqual(Array.from({ length: topK }, (_, i) => i));
      for (const weight of weights) expect(weight).toBeCloseTo(1 / topK, 6);
    }
  }
});

test('infinite logits take all the weight, and no weight is ever NaN', () => {
  const logits = Float32Array.from([0, Number.POSITIVE_INFINITY, 3, Number.NEGATIVE_INFINITY]);
  for (const engine of engines) {
    const { ids, weights } = route(engine, {
      router: routerNumbers({ experts: 4, topK: 4 }),
      logits,
      tokens: 1,
    });
    expect([...ids]).toEqual([1, 2, 0, 3]);
    expect([...weights]).toEqual([1, 0, 0, 0]);
  }
});

test('a row of NaN and -infinity only is refused with its number', () => {
  const logits = new Float32Array(3 * 8);
  logits.fill(Number.NaN, 8, 16);
  logits[11] = Number.NEGATIVE_INFINITY;
  for (const engine of engines) {
    for (const topK of [1, 2]) {
      expect(() => route(engine, { router: routerNumbers({ experts: 8, topK }), logits, tokens: 3 })).toThrow(
        'row 1 of the logits',
      );
    }
  }
});

test('a bonus in units of the score range does not change with the size of the logits', () => {
  const logits = Float32Array.from({ length: 200 * 16 }, (_, i) => Math.sin(i * i));
  const resident = Int32Array.from({ length: 16 }, (_, e) => e % 2);
  const idsAt = (size: number, bonus: number) => {
    const router = new Router({ experts: 16, topK: 2, bonus });
    return [...router.route({ logits: logits.map((x) => x * size), resident }).ids];
  };
  expect(idsAt(64, 0.25)).toEqual(idsAt(1, 0.25));
  expect(idsAt(1, 0.25)).not.toEqual(idsAt(1, 0));
  const misses = (ids: number[]) => ids.filter((id) => id % 2 === 0).length;
  expect(misses(idsAt(1, 0.5))).toBeLessThan(misses(idsAt(1, 0.25)));
});

test('the score range is a running average over the tokens', () => {
  const router = new Router({ experts: 4, topK: 1, bonus: 1 });
  const resident = new Int32Array(4);
  const rangeAfter = (logits: number[]) => {
    router.route({ logits: Float32Array.from(logits), resident });
    return router.scoreRange;
  };
  expect(rangeAfter([0, 1, 2, 3])).toBe(3);
  expect(rangeAfter([0, 0, 0, 13])).toBeCloseTo(3.1, 6);
});

test.each([
  [{ experts: 1, topK: 1 }, 'experts'],
  [{ experts: 8, topK: 9 }, 'topK'],
  [{ experts: 64, topK: 17 }, 'topK'],
  [{ experts: 8, topK: 2, bonus: Number.NaN }, 'bonus'],
  [{ experts: 8, topK: 2, bonus: -1 }, 'bonus'],
  [{ experts: 8, topK: 2, groups: 3 }, 'groups'],
  [{ experts: 8, topK: 4, groups: 4, topGroups: 1 }, 'topGroups'],
  [{ experts: 8, topK: 2, protect: 3 }, 'protect'],
])('refuses %j naming %s', (options, name) => {
  expect(() => routerNumbers(options)).toThrow(name);
});

describe('the TF.js kernel', () => {
  beforeAll(() => tf.setBackend('cpu'));

  test('routes tensors, with residents and without', () => {
    const logits = tf.tensor2d([
      [1, 2, 3],
      [3, 1, 2],
    ]);
    const { ids, weights } = moeRoute(logits, { experts: 3, topK: 2 });
    expect(ids.arraySync()).toEqual([
      [2, 1],
      [0, 2],
    ]);
    expect(weights.dtype).toBe('float32');
    expect(weights.arraySync()[0]![0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
    const resident = tf.tensor1d([1, 1, 0], 'int32');
    const favoured = moeRoute(
      logits,
      { experts: 3, topK: 2, bonus: 2, bonusUnit: 'score' },
      { resident },
    ).ids;
    expect(favoured.arraySync()).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });

  test('refuses logits of another width, telling both', () => {
    expect(() => moeRoute(tf.zeros([2, 4]), { experts: 3, topK: 2 })).toThrow(
      "input 'logits' has shape [2,4], expected [tokens,3]",
    );
  });
});
