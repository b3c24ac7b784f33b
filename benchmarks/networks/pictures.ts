/** Synthetic pictures: a few waves of random colour, direction and frequency with some noise, in about [-1, 1]. */
import type { DenseTensor } from '../../src/graph/ir';
import { Random } from './random';

const WAVES = 6;
const NOISE = 0.1;

function picture(random: Random, size: number, into: Float32Array): void {
  const waves = Array.from({ length: WAVES }, () => ({
    x: random.normal() * 0.15,
    y: random.normal() * 0.15,
    phase: random.between(0, 2 * Math.PI),
    color: [random.normal(), random.normal(), random.normal()],
  }));
  const tint = [random.normal(), random.normal(), random.normal()];
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const heights = waves.map(({ x, y, phase }) => Math.sin(x * column + y * row + phase));
      for (let channel = 0; channel < 3; channel++, at++) {
        const waved = waves.reduce((sum, { color }, i) => sum + color[channel] * heights[i], tint[channel]);
        into[at] = Math.tanh(0.4 * waved + NOISE * random.normal());
      }
    }
  }
}

/** @returns a batch of pictures, [count, size, size, 3] */
export function pictures(seed: number, count: number, size: number): DenseTensor {
  const random = new Random(seed);
  const values = new Float32Array(count * size * size * 3);
  const each = size * size * 3;
  for (let i = 0; i < count; i++) picture(random, size, values.subarray(i * each, (i + 1) * each));
  return { dtype: 'float32', shape: [count, size, size, 3], values };
}
