// @needs engine
/** What the engine refuses before it allocates, and settings that it cannot honour. */
import { totalmem } from 'node:os';
import { engineInfo, setMaxMemory } from '../../src/runtime/current-engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import '../../src/runtime/provide-node-engine';
import { enlarging } from '../support/enlarging';

const engine = createNodeEngine();
const byDefault = engine.maxMemory;

afterEach(() => {
  engine.maxMemory = byDefault;
  delete process.env.LOWBIT_NUM_THREADS;
});

const MIB = 2 ** 20;

test.each([
  ['an output', true],
  ['an intermediate tensor', false],
])(
  'a small program with %s of gigabytes is refused with both numbers, before anything is allocated',
  (_, toFloat) => {
    engine.maxMemory = 512 * MIB;
    const compiled = engine.compile(enlarging(12000, toFloat), new Int32Array(0));
    const before = process.memoryUsage().rss;
    const plan = () => compiled.outputShapes([[1, 1, 1, 1]]);
    expect(plan).toThrow(
      /need \d+ MiB \(\d+ for intermediate tensors, .* but only 512 MiB are allowed; .*maxMemory/,
    );
    expect(plan).toThrow(expect.objectContaining({ code: 'out-of-memory' }));
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
    // The program is still usable, with a higher limit.
    engine.maxMemory = 4000 * MIB;
    expect(plan()).toEqual([toFloat ? [1, 12000, 12000, 1] : [1, 1, 1, 1]]);
    compiled.dispose();
  },
);

test('the limit is a share of the memory of the machine unless it is set', () => {
  expect(byDefault).toBeGreaterThan(64 * MIB);
  expect(byDefault).toBeLessThanOrEqual(totalmem() / 2);
  setMaxMemory(100 * MIB);
  expect(engineInfo().maxMemory).toBe(100 * MIB);
  for (const bytes of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => setMaxMemory(bytes)).toThrow('a positive number of bytes for maxMemory');
});

test.each(['0', 'abc', '-2', '1.5', '2x'])('LOWBIT_NUM_THREADS=%s is refused', (text) => {
  process.env.LOWBIT_NUM_THREADS = text;
  expect(createNodeEngine).toThrow(
    `Expected a positive integer for LOWBIT_NUM_THREADS but received '${text}'`,
  );
});

test.each(['1', '64', ''])('LOWBIT_NUM_THREADS=%s is taken', (text) => {
  process.env.LOWBIT_NUM_THREADS = text;
  expect(createNodeEngine().threads).toBeGreaterThanOrEqual(1);
});
