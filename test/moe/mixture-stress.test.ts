// @needs engine
/** Random callers of mixtures with few slots, slow reads and reads that fail. LOWBIT_STRESS_CALLS says how many calls. */
import { setImmediate as turn } from 'node:timers/promises';
import { LowbitError } from '../../src/base/errors';
import { MixtureOfExperts, type MixtureOptions } from '../../src/moe/mixture';
import type { ExpertIndex, ExpertRecord } from '../../src/moe/store/container';
import { type ExpertLayout, packExpert } from '../../src/moe/store/expert-bytes';
import type { ExpertSource } from '../../src/moe/store/source';
import { forEachCase, Random } from '../support/random';

const CALLS = Number(process.env.LOWBIT_STRESS_CALLS ?? 5000);
const CALLS_A_MIXTURE = 250;
const LAYERS = 2;
const EXPERTS = 8;
const INPUTS = 12;
const layout: ExpertLayout = { width: 4, hidden: 4, activation: 'relu', gated: false };

const drawn = new Random(17);
const numbers = (count: number, random = drawn) =>
  Float32Array.from({ length: count }, () => 2 * random.unit() - 1);

/** Two precisions of the same bytes, so that results do not depend on where an expert is taken from. */
const bytes = Array.from({ length: LAYERS * EXPERTS }, () =>
  packExpert(
    layout,
    { up: { values: numbers(16), bias: numbers(4) }, down: { values: numbers(16) } },
    { format: 'int8' },
  ),
);
const index: ExpertIndex = {
  layers: LAYERS,
  experts: EXPERTS,
  precisions: ['first', 'second'].map((name) => ({ name, layout })),
  records: bytes.flatMap((of, key) =>
    [0, 1].map((precision) => ({
      ...{ layer: Math.floor(key / EXPERTS), expert: key % EXPERTS, precision },
      ...{ offset: 0, bytes: of.length, crc: 0 },
    })),
  ),
};
const SLOT = 4096;

/** Reads take up to `turns` turns of the event loop and fail at the rate `failing`. */
function sourceOf(random: Random, turns: number, failing: number, canBlock: boolean): ExpertSource {
  const copy = ({ layer, expert }: ExpertRecord, into: Uint8Array) => {
    if (random.chance(failing)) throw new LowbitError('io', 'the disk failed');
    into.set(bytes[layer * EXPERTS + expert]!);
  };
  return {
    ...{ name: 'memory', index, close: async () => {} },
    async read(record, into) {
      for (let i = random.int(0, turns); i > 0; i--) await turn();
      copy(record, into);
    },
    ...(canBlock && { readNow: copy }),
  };
}

interface Input {
  layer: number;
  x: Float32Array;
  logits: Float32Array;
}

const inputs: Input[] = Array.from({ length: INPUTS }, (_, i) => {
  const tokens = 1 + (i % 4);
  return { layer: i % LAYERS, x: numbers(tokens * 4), logits: numbers(tokens * EXPERTS) };
});

/** Results by topK and input, one call at a time with all experts in memory. */
async function expectedResults(topK: number): Promise<Float32Array[]> {
  const source = sourceOf(new Random(1), 0, 0, true);
  const mixture = new MixtureOfExperts({ source, budgetBytes: LAYERS * EXPERTS * SLOT, topK });
  return Promise.all(inputs.map(({ layer, x, logits }) => mixture.forward(layer, x, logits)));
}

function drawOptions(random: Random, topK: number, source: ExpertSource): MixtureOptions {
  const slots = LAYERS * topK + random.pick([0, 0, 1, 3]);
  const memory = random.chance(0.3)
    ? { tiers: index.precisions.map(({ name }) => ({ precision: name, budgetBytes: slots * SLOT })) }
    : { budgetBytes: slots * SLOT };
  return {
    ...{ source, topK, ...memory },
    prefetch: random.pick([0, 0, 2, 8]),
    inlineBytes: random.pick([0, 65536]),
    policy: random.pick(['lru', 'lfu', 'affinity'] as const),
    lowPrecisionBelow: random.pick([0, 0.6]),
  };
}

const same = (a: Float32Array, b: Float32Array) =>
  a.length === b.length && a.every((value, i) => value === b[i]);

test(`${CALLS} calls of random callers end, with the right result or the error of a read`, async () => {
  const expected = await Promise.all([1, 2, 3, 4].map(expectedResults));
  const counts = { right: 0, failed: 0, now: 0 };
  await forEachCase('callers', Math.ceil(CALLS / CALLS_A_MIXTURE), async (random) => {
    const topK = random.int(1, 4);
    const canBlock = random.chance(0.8);
    const source = sourceOf(random, random.pick([0, 1, 4]), random.pick([0, 0, 0.05]), canBlock);
    const mixture = new MixtureOfExperts(drawOptions(random, topK, source));
    let left = CALLS_A_MIXTURE;
    const caller = async () => {
      while (left-- > 0) {
        const i = random.int(0, INPUTS - 1);
        const { layer, x, logits } = inputs[i]!;
        const now = canBlock && random.chance(0.2);
        try {
          const out = now ? mixture.forwardNow(layer, x, logits) : await mixture.forward(layer, x, logits);
          expect(same(out, expected[topK - 1]![i]!)).toBe(true);
          counts.right++;
          if (now) counts.now++;
        } catch (error) {
          expect((error as Error).message).toBe('the disk failed');
          counts.failed++;
        }
        if (random.chance(0.3)) await turn();
      }
    };
    await Promise.all(Array.from({ length: random.int(1, 6) }, caller));
    // Nothing stayed in use: another caller gets all it needs.
    await Promise.allSettled(inputs.map(({ layer, x, logits }) => mixture.forward(layer, x, logits)));
    await mixture.close();
  });
  expect(counts.right + counts.failed).toBeGreaterThanOrEqual(CALLS);
  expect(counts.now).toBeGreaterThan(CALLS / 20);
  expect(counts.failed).toBeGreaterThan(0);
}, 600_000);

describe('one slot', () => {
  const oneLayer = { ...index, layers: 1, records: index.records.filter(({ layer }) => layer === 0) };
  const open = () => {
    const source = { ...sourceOf(new Random(3), 2, 0, true), index: oneLayer };
    return new MixtureOfExperts({ source, budgetBytes: SLOT, topK: 1, inlineBytes: 0 });
  };
  const picks = (...ids: number[]) =>
    Float32Array.from({ length: ids.length * EXPERTS }, (_, i) =>
      Number(i % EXPERTS === ids[Math.floor(i / EXPERTS)]),
    );
  const x = numbers(8);

  test('serves a caller whose tokens need several experts', async () => {
    const mixture = open();
    await mixture.forward(0, x.subarray(0, 4), picks(2));
    const out = await mixture.forward(0, x, picks(2, 5));
    expect(out.subarray(0, 4)).toEqual(await mixture.forward(0, x.subarray(0, 4), picks(2)));
    expect(out.subarray(4)).toEqual(await mixture.forward(0, x.subarray(4), picks(5)));
  });

  test('a blocking call beside one under way is told how many slots it takes', async () => {
    const mixture = open();
    const underWay = mixture.forward(0, x, picks(2, 5));
    expect(() => mixture.forwardNow(0, x.subarray(0, 4), picks(3))).toThrow(
      'This call needs 1 more: await the others, or allow a budget of 8192 bytes (2 slots)',
    );
    await underWay;
    expect(mixture.forwardNow(0, x.subarray(0, 4), picks(3))).toHaveLength(4);
  });
});

test('a closed mixture refuses the calls that wait for slots', async () => {
  const source = sourceOf(new Random(4), 3, 0, false);
  const mixture = new MixtureOfExperts({ source, budgetBytes: 4 * SLOT, topK: 2, inlineBytes: 0 });
  const calls = inputs.map(({ layer, x, logits }) => mixture.forward(layer, x, logits));
  const settled = Promise.allSettled(calls);
  await mixture.close();
  const refused = (await settled).filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  expect(refused.length).toBeGreaterThan(0);
  for (const { reason } of refused) expect((reason as Error).message).toContain('were closed');
});
