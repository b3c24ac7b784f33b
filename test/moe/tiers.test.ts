// @needs engine
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExpertAffinity } from '../../src/moe/affinity';
import { MEMORY_PRESETS, memoryBudget } from '../../src/moe/memory-budget';
import { MixtureOfExperts, type MixtureOptions } from '../../src/moe/mixture';
import { writeContainer } from '../../src/moe/store/container';
import { type ExpertLayout, packExpert } from '../../src/moe/store/expert-bytes';
import { fileSource } from '../../src/moe/store/file-source';
import { planTiers } from '../../src/moe/tiers';
import { Random } from '../support/random';

/** Affinities of one layer after many tokens that use each expert with its probability. */
function affinityOf(shares: readonly number[]): ExpertAffinity {
  const affinity = new ExpertAffinity(1, shares.length, 0.999);
  const random = new Random(2);
  for (let token = 0; token < 5000; token++) {
    affinity.update(
      0,
      [...shares.keys()].filter((e) => random.chance(shares[e]!)),
    );
  }
  return affinity;
}

test('fills the tiers with the experts used most often', () => {
  const plan = planTiers(affinityOf([0.1, 0.8, 0.3, 0.6, 0.05]), {
    slots: [1, 2, 2],
    current: new Uint8Array(5).fill(2),
    hysteresis: 0,
  });
  expect([...plan]).toEqual([2, 0, 1, 1, 2]);
});

test('two experts that are used about as often keep their places', () => {
  const affinity = affinityOf([0.5, 0.55]);
  expect(affinity.of(0, 1)).toBeGreaterThan(affinity.of(0, 0));
  const plan = (hysteresis: number) => [
    ...planTiers(affinity, { slots: [1, 1], current: Uint8Array.of(0, 1), hysteresis }),
  ];
  expect(plan(0)).toEqual([1, 0]);
  expect(plan(0.5)).toEqual([0, 1]);
});

test('budgets of devices, and of this machine', () => {
  expect(memoryBudget('phone')).toBe(MEMORY_PRESETS.phone);
  const auto = memoryBudget('auto');
  expect(Number.isInteger(auto)).toBe(true);
  expect(auto).toBeGreaterThan(0);
  expect(() => memoryBudget('watch' as 'phone')).toThrow('auto, raspberry-pi-5, phone, laptop, browser');
});

describe('a mixture in tiers', () => {
  const EXPERTS = 8;
  const WIDTH = 16;
  const layout: ExpertLayout = { width: WIDTH, hidden: 32, activation: 'relu', gated: false };
  const formats = ['int8', 'uniform4', 'uniform2'] as const;
  const random = new Random(9);
  const draw = (count: number) => Float32Array.from({ length: count }, () => random.real(-1, 1));
  const x = draw(WIDTH);
  let folder: string;
  let path: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lowbit-tiers-'));
    path = join(folder, 'experts');
    const experts = [];
    for (let expert = 0; expert < EXPERTS; expert++) {
      const weights = { up: { values: draw(32 * WIDTH) }, down: { values: draw(32 * WIDTH) } };
      for (const [precision, format] of formats.entries()) {
        experts.push({ layer: 0, expert, precision, bytes: packExpert(layout, weights, { format }) });
      }
    }
    const precisions = formats.map((name) => ({ name, layout }));
    await writeContainer(path, { layers: 1, experts: EXPERTS, precisions }, experts);
  });

  afterAll(() => rm(folder, { recursive: true }));

  const open = async (options: Partial<MixtureOptions>) =>
    new MixtureOfExperts({ source: await fileSource(path), topK: 2, ...options });

  const tiers = [
    { precision: 'int8', budgetBytes: 2 * 4096 },
    { precision: 'uniform4', budgetBytes: 2 * 4096 },
    { precision: 'uniform2', budgetBytes: 2 * 4096 },
  ];

  const logitsFor = (...ids: number[]) =>
    Float32Array.from({ length: EXPERTS }, (_, e) => (ids.includes(e) ? 3 : 0));

  test('computes experts used all the time in the best precision, others in the smallest', async () => {
    const exact = (precision: string) => open({ precision, budgetBytes: EXPERTS * 4096 });
    const mixture = await open({ tiers });
    expect(mixture.reservedBytes).toBe(6 * 4096);
    const int8 = await (await exact('int8')).forward(0, x, logitsFor(3, 5));
    const uniform2 = await (await exact('uniform2')).forward(0, x, logitsFor(3, 5));
    expect(await mixture.forward(0, x, logitsFor(3, 5))).toEqual(uniform2);
    for (let token = 0; token < 600; token++) await mixture.forward(0, x, logitsFor(3, 5));
    expect(await mixture.forward(0, x, logitsFor(3, 5))).toEqual(int8);
    const seldom = await (await exact('uniform2')).forward(0, x, logitsFor(0, 7));
    expect(seldom.some((value) => value !== 0)).toBe(true);
    await mixture.close();
  });

  test('serves a missing expert of little weight from a lower precision in memory', async () => {
    const serve = async (lowPrecisionBelow: number) => {
      const mixture = await open({
        tiers: [tiers[0]!, { precision: 'uniform2', budgetBytes: 8 * 4096 }],
        lowPrecisionBelow,
      });
      // Every expert comes into the lower tier; then 3 and 5 belong to the better one, where they are not.
      for (let e = 0; e < EXPERTS; e += 2) await mixture.forward(0, x, logitsFor(e, e + 1));
      for (let token = 0; token < 300; token++) await mixture.forward(0, x, logitsFor(3, 5));
      await mixture.close();
      return mixture.metrics.summary().misses;
    };
    expect(await serve(0)).toBe(EXPERTS + 2);
    expect(await serve(0.6)).toBe(EXPERTS);
  });

  test('refuses tiers that hold no token’s experts of a layer, and a budget beside tiers', async () => {
    await expect(open({ tiers: [{ precision: 'int8', budgetBytes: 4096 }, tiers[2]!] })).rejects.toThrow(
      'that one token uses in a layer: 2 experts of 4096 bytes need 8192',
    );
    await expect(open({ tiers, budgetBytes: 1e6 })).rejects.toThrow('none beside tiers');
    await expect(open({})).rejects.toThrow('for budgetBytes');
    await expect(open({ tiers: [{ precision: 'int3', budgetBytes: 1e6 }] })).rejects.toThrow(
      'int8, uniform4, uniform2',
    );
  });
});
