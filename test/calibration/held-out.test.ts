import { heldOut, withoutHeldOut } from '../../src/calibration/data/held-out';
import type { Sample } from '../../src/graph/ir';

const sample = (value: number): Sample => ({
  x: { dtype: 'float32', shape: [1], values: Float32Array.of(value) },
});

const source = (count: number) =>
  async function* () {
    for (let i = 0; i < count; i++) yield sample(i);
  };

async function valuesOf(samples: AsyncIterable<Sample>): Promise<number[]> {
  const values: number[] = [];
  for await (const { x } of samples) values.push(x.values[0] as number);
  return values;
}

test.each([0, 3, 4, 10, 64, 100])('of %i samples each is in one of two parts', async (count) => {
  const out = await valuesOf(heldOut(source(count))([]));
  const rest = await valuesOf(withoutHeldOut(source(count))([]));
  expect([...out, ...rest].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  expect(out).toHaveLength(Math.min(16, Math.floor(count / 4)));
});

test('no more samples are read than those that may be held out', async () => {
  let read = 0;
  const endless = async function* () {
    while (true) yield sample(read++);
  };
  expect(await valuesOf(heldOut(endless)([]))).toHaveLength(16);
  expect(read).toBeLessThanOrEqual(65);
});
