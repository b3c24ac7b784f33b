// @needs engine
/** The stateless rotation of every instruction set: an orthogonal matrix, the reference's to the bit, and its transpose. */
import type { LowbitError } from '../../src/base/errors';
import { forEachCase } from '../support/random';
import { everyIsa } from '../support/run-engine';
import { rotateRow } from './reference/rotation';

const engines = everyIsa();
const SIZES = [2, 4, 8, 16, 32, 64, 128, 256];

/** Row i holds the rotation of the i-th unit vector. */
function matrixOf(
  engine: (typeof engines)[number],
  depth: number,
  block: number,
  inverse = false,
): number[][] {
  const values = new Float32Array(depth * depth);
  for (let i = 0; i < depth; i++) values[i * (depth + 1)] = 1;
  engine.hadamard(values, { rows: depth, depth, block, seed: 7, inverse });
  return Array.from({ length: depth }, (_, i) => Array.from(values.subarray(i * depth, (i + 1) * depth)));
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

describe.each(engines)('$isa', (engine) => {
  test.each([...SIZES, 3, 100, 250])('rows of the rotation of %d elements are orthonormal', (depth) => {
    const matrix = matrixOf(engine, depth, 256);
    const errors = matrix.flatMap((row, i) =>
      matrix.map((other, j) => Math.abs(dot(row, other) - (i === j ? 1 : 0))),
    );
    expect(Math.max(...errors)).toBeLessThan(1e-6);
  });

  test.each(SIZES)('all entries of a block of %d elements have one magnitude', (block) => {
    const magnitude = Math.fround(1 / Math.sqrt(block));
    for (const row of matrixOf(engine, block, block)) {
      expect(row.map(Math.abs)).toEqual(row.map(() => magnitude));
    }
  });

  test.each([64, 100, 130])('the inverse of %d elements is the transpose', (depth) => {
    const forth = matrixOf(engine, depth, 64);
    const back = matrixOf(engine, depth, 64, true);
    // A sum with 0 tells the two zeros apart no more.
    const transposed = forth.map((_, i) => forth.map((row) => row[i]! + 0));
    expect(back.map((row) => row.map((x) => x + 0))).toEqual(transposed);
  });

  test('random rows equal the reference, keep their energy, and come back', async () => {
    await forEachCase('hadamard', 100, (random) => {
      const [rows, depth] = [random.int(1, 3), random.int(1, 700)];
      const [block, seed] = [2 ** random.int(1, 12), random.int(0, 2 ** 32 - 1)];
      engine.threads = random.int(1, 2);
      const values = Float32Array.from({ length: rows * depth }, () => random.real(-5, 5));
      const rotated = values.slice();
      engine.hadamard(rotated, { rows, depth, block, seed });
      for (let row = 0; row < rows; row++) {
        const [from, to] = [values, rotated].map((all) =>
          Array.from(all.subarray(row * depth, (row + 1) * depth)),
        ) as [number[], number[]];
        expect(to).toEqual(rotateRow(from, { depth, block, seed }));
        expect(dot(to, to) / dot(from, from)).toBeCloseTo(1, 4);
      }
      engine.hadamard(rotated, { rows, depth, block, seed, inverse: true });
      expect(Math.max(...values.map((value, i) => Math.abs(rotated[i]! - value)))).toBeLessThan(1e-5);
    });
  });
});

test('no rows and no elements are left alone', () => {
  for (const [rows, depth] of [
    [0, 5],
    [5, 0],
  ] as const) {
    expect(() =>
      engines[0]!.hadamard(new Float32Array(0), { rows, depth, block: 64, seed: 0 }),
    ).not.toThrow();
  }
});

test.each([
  [{ block: 3 }, /power of two from 2 to 4096 for block but received 3/],
  [{ block: 8192 }, /block but received 8192/],
  [{ block: 0 }, /block but received 0/],
  [{ seed: -1 }, /unsigned 32-bit integer for seed but received -1/],
  [{ seed: 2 ** 32 }, /for seed/],
  [{ rows: 2 }, /2 x 8 numbers for values but received 8/],
])('%p is refused', (change, message) => {
  const call = () =>
    engines[0]!.hadamard(new Float32Array(8), { rows: 1, depth: 8, block: 8, seed: 1, ...change });
  expect(call).toThrow(message);
  expect(call).toThrow(expect.objectContaining({ code: 'invalid-argument' } satisfies Partial<LowbitError>));
});
