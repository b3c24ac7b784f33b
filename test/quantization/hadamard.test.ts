import {
  ROTATION_BLOCKS,
  rotateRows,
  rotateRowsBack,
  rotationBlocks,
  rotationSigns,
} from '../../src/quantization/hadamard';
import { maxError } from '../../src/quantization/metrics';
import { forEachCase } from '../support/random';

function identity(size: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, i) => (i % size === Math.floor(i / size) ? 1 : 0));
}

/** (-1)^(number of bits that i and j share) / sqrt(size): the Walsh-Hadamard matrix in its natural order. */
function hadamard(i: number, j: number, size: number): number {
  let bits = i & j;
  let sign = 1;
  for (; bits > 0; bits >>= 1) if (bits & 1) sign = -sign;
  return sign / Math.sqrt(size);
}

test.each([1, 2, 4, 32, 64, 128, 256])(
  'rotates by the Walsh-Hadamard matrix of %d after the signs',
  (size) => {
    const block = Math.max(64, size) as 64 | 128 | 256;
    const rows = rotateRows(identity(size), size, size, { block, seed: 7 });
    const signs = rotationSigns(size, 7);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        expect(rows[i * size + j]).toBeCloseTo(signs[i] * hadamard(i, j, size), 6);
      }
    }
  },
);

test('cuts what is no power of two into ever smaller blocks', () => {
  expect(rotationBlocks(100, 64)).toEqual([64, 32, 4]);
  expect(rotationBlocks(1280, 256)).toEqual([256, 256, 256, 256, 256]);
  expect(rotationBlocks(7, 128)).toEqual([4, 2, 1]);
  expect(rotationBlocks(64, 64)).toEqual([64]);
});

test('leaves the product of rows and activations as it was', async () => {
  await forEachCase('rotation', 30, (random) => {
    const depth = random.int(1, 700);
    const rotation = { block: random.pick(ROTATION_BLOCKS), seed: random.int(0, 2 ** 32 - 1) };
    const draw = (length: number) => Float32Array.from({ length }, () => random.real(-1, 1));
    const [weights, activations] = [draw(3 * depth), draw(depth)];
    const dot = (w: Float32Array, x: Float32Array, row: number) =>
      x.reduce((sum, value, k) => sum + value * w[row * depth + k], 0);
    const turned = rotateRows(weights, 3, depth, rotation);
    const turnedActivations = rotateRows(activations, 1, depth, rotation);
    for (let row = 0; row < 3; row++) {
      expect(dot(turned, turnedActivations, row)).toBeCloseTo(dot(weights, activations, row), 4);
    }
    const back = rotateRowsBack(turned, 3, depth, rotation);
    expect(maxError(weights, back)).toBeLessThan(1e-5);
  });
});

test('draws its signs as every other implementation does', () => {
  const minuses = (seed: number) => {
    const signs = rotationSigns(64, seed);
    return [0, 32].map((start) =>
      signs.subarray(start, start + 32).reduce((word, sign, i) => word + (sign < 0 ? 2 ** i : 0), 0),
    );
  };
  expect(minuses(0)).toEqual([2462723854, 1020716019]);
  expect(minuses(0xffffffff)).toEqual([920564995, 4230986166]);
});

test('spreads an outlier over its block', () => {
  const values = new Float32Array(256);
  values[3] = 16;
  const turned = rotateRows(values, 1, 256, { block: 256, seed: 1 });
  expect([...turned].map(Math.abs)).toEqual(Array(256).fill(1));
});

test('refuses other blocks and seeds', () => {
  const values = new Float32Array(4);
  expect(() => rotateRows(values, 1, 4, { block: 32, seed: 0 })).toThrow(
    'Expected one of 64, 128, 256 for block but received 32.',
  );
  expect(() => rotateRows(values, 1, 4, { block: 64, seed: -1 })).toThrow(
    'Expected an unsigned 32-bit integer for seed but received -1.',
  );
  expect(() => rotateRows(values, 1, 5, { block: 64, seed: 0 })).toThrow(
    'Expected 1 x 5 for the length of values but received 4.',
  );
});
