import { ExpertAffinity } from '../../src/moe/affinity';

test('is an exponential moving average of use', () => {
  const affinity = new ExpertAffinity(1, 3, 0.9);
  affinity.update(0, [0, 2]);
  affinity.update(0, [2]);
  expect(affinity.of(0, 0)).toBeCloseTo(0.1 * 0.9, 12);
  expect(affinity.of(0, 2)).toBeCloseTo(0.1 * 0.9 + 0.1, 12);
  expect(affinity.of(0, 1)).toBe(0);
  expect(affinity.ranked(0)).toEqual([2, 0, 1]);
});

test('tends to the share of tokens that use an expert, over any number of tokens', () => {
  const affinity = new ExpertAffinity(1, 4, 0.99);
  for (let token = 0; token < 100_000; token++) affinity.update(0, token % 4 === 0 ? [0, 1] : [1]);
  expect(affinity.of(0, 1)).toBeCloseTo(1, 6);
  expect(affinity.of(0, 0)).toBeGreaterThan(0.24);
  expect(affinity.of(0, 0)).toBeLessThan(0.26);
});

test('falls from token to token without use', () => {
  const affinity = new ExpertAffinity(1, 2);
  affinity.update(0, [0]);
  let before = affinity.of(0, 0);
  for (let token = 0; token < 30_000; token++) {
    affinity.update(0, [1]);
    const now = affinity.of(0, 0);
    expect(now <= before).toBe(true);
    before = now;
  }
  expect(before).toBeLessThan(1e-100);
});

test('its memory grows with the number of experts, not with its square', () => {
  const bytes = () => process.memoryUsage().arrayBuffers;
  const before = bytes();
  const affinity = new ExpertAffinity(61, 1024);
  // One number an expert; other suites of this process may free some.
  expect(bytes() - before).toBeLessThan(2 * 61 * 1024 * 8);
  expect(affinity.of(60, 1023)).toBe(0);
});

test('layers do not touch each other', () => {
  const affinity = new ExpertAffinity(2, 2);
  affinity.update(0, [1]);
  for (let token = 0; token < 50; token++) affinity.update(1, [0]);
  expect(affinity.of(0, 1)).toBeCloseTo(0.01, 12);
  expect(affinity.of(1, 1)).toBe(0);
});
