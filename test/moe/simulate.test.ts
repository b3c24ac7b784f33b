// @needs engine
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { POLICIES, simulate } from '../../src/moe/simulate';
import { type RoutingTrace, writeTrace } from '../../src/moe/trace';
import { Random } from '../support/random';

/** Logits that drift: neighbouring tokens like the same experts. */
function drawTrace(tokens: number, layers = 2, experts = 16): RoutingTrace {
  const random = new Random(7);
  const state = new Float32Array(layers * experts);
  const logits = new Float32Array(tokens * layers * experts);
  for (let token = 0; token < tokens; token++) {
    for (let i = 0; i < state.length; i++) {
      state[i] = 0.7 * state[i]! + random.real(-1, 1);
      logits[token * state.length + i] = state[i]! + random.real(-1, 1);
    }
  }
  return { tokens, layers, experts, topK: 2, logits };
}

const trace = drawTrace(500);

test('counts every use, and a cache of all experts misses each of them once', () => {
  for (const policy of POLICIES) {
    const { uses, misses, changed, massLost } = simulate(trace, { policy, slots: 32 });
    expect(uses).toBe(500 * 2 * 2);
    expect(misses).toBe(32);
    expect(changed).toBe(0);
    expect(massLost).toBe(0);
  }
});

test('Belady’s policy misses least, and a bonus trades misses for gate mass', () => {
  const misses = (policy: (typeof POLICIES)[number]) => simulate(trace, { policy, slots: 8 }).misses;
  expect(misses('belady')).toBeLessThan(Math.min(misses('lru'), misses('lfu'), misses('affinity')));
  const runs = [0.05, 0.2, 0.5].map((bonus) => simulate(trace, { policy: 'lru', slots: 8, bonus }));
  expect(runs[0]!.misses).toBeLessThan(misses('lru'));
  expect(runs[1]!.misses).toBeLessThan(runs[0]!.misses);
  expect(runs[2]!.misses).toBeLessThan(runs[1]!.misses);
  expect(runs[0]!.massLost).toBeGreaterThan(0);
  expect(runs[2]!.massLost).toBeGreaterThan(runs[0]!.massLost);
});

test('protected picks are those of plain routing', () => {
  const { changed } = simulate(trace, { policy: 'lru', slots: 8, bonus: 4, protect: 2 });
  expect(changed).toBe(0);
});

test('a global cache below one token’s experts has no hits', () => {
  const logits = Float32Array.from({ length: 50 * 16 * 4 }, (_, i) => -(i % 4));
  const cycle = { tokens: 50, layers: 16, experts: 4, topK: 1, logits };
  expect(simulate(cycle, { policy: 'lru', slots: 15 }).hitRate).toBe(0);
  expect(simulate(cycle, { policy: 'lru', slots: 16 }).misses).toBe(16);
});

test('refuses what makes no sense', () => {
  expect(() => simulate(trace, { policy: 'lru', slots: 1 })).toThrow('does not hold the 2');
  expect(() => simulate(trace, { policy: 'belady', slots: 8, bonus: 1 })).toThrow('no bonus');
});

test('the command prints every policy at every size', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lowbit-simulate-'));
  try {
    const path = join(folder, 'a.moetrace');
    await writeTrace(path, trace);
    const main = join(__dirname, '../../dist/src/cli/main.js');
    const run = (...more: string[]) =>
      promisify(execFile)(process.execPath, [main, 'moe', 'simulate', '--trace', path, ...more]);
    const report = JSON.parse((await run('--cache', '25%,50%', '--bonus', '0.2', '--json')).stdout);
    expect(report.caches.map(({ slots }: { slots: number }) => slots)).toEqual([8, 16]);
    const [first] = report.caches;
    expect(first.rows.map(({ policy, bonus }: { policy: string; bonus: number }) => [policy, bonus])).toEqual(
      [...POLICIES.map((policy) => [policy, 0]), ['lru', 0.2], ['lfu', 0.2], ['affinity', 0.2]],
    );
    expect(first.rows[0].misses).toBe(simulate(trace, { policy: 'lru', slots: 8 }).misses);
    const { stdout } = await run('--cache', '12%');
    expect(stdout).toContain('one token uses 4, so every token starts anew');
    await expect(run('--cache', '0%')).rejects.toThrow('Expected percents');
  } finally {
    await rm(folder, { recursive: true });
  }
});
