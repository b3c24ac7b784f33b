import { HeldBack } from '../../src/evaluation/held-back';
import type { Sample } from '../../src/graph/ir';

const sample = (value: number): Sample => ({
  x: { dtype: 'float32', shape: [1], values: Float32Array.of(value) },
});

function numbers(count: number) {
  const state = { read: 0, closed: 0 };
  async function* source() {
    // One memory for all: who keeps samples has to copy them.
    const shared = new Float32Array(1);
    try {
      for (let i = 0; i < count; i++) {
        state.read++;
        shared[0] = i;
        yield { x: { dtype: 'float32' as const, shape: [1], values: shared } };
      }
    } finally {
      state.closed++;
    }
  }
  return { state, source };
}

async function read(held: HeldBack, count: number): Promise<void> {
  let done = 0;
  for await (const _ of held.source([])) if (++done === count) break;
}

const valuesOf = (held: HeldBack) => held.take().samples.map(({ x }) => x.values[0]);

test('samples after those that were read are held back', async () => {
  const { state, source } = numbers(100);
  const held = new HeldBack(source);
  await read(held, 3);
  expect(valuesOf(held)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  expect(held.take().heldBack).toBe(true);
  expect(state).toEqual({ read: 11, closed: 1 });
});

test('few are better than none', async () => {
  const held = new HeldBack(numbers(5).source);
  await read(held, 3);
  expect(valuesOf(held)).toEqual([3, 4]);
});

test('data that is read whole leaves its first samples', async () => {
  const { state, source } = numbers(12);
  const held = new HeldBack(source);
  await read(held, 100);
  expect(valuesOf(held)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(held.take().heldBack).toBe(false);
  expect(state.closed).toBe(1);
});

test('few that were held out before are joined by some that were seen', async () => {
  const held = new HeldBack(numbers(12).source);
  await read(held, 100);
  const out = Array.from({ length: 3 }, (_, i) => sample(100 + i));
  const { samples, heldBack } = held.beside(out);
  expect(samples.map(({ x }) => x.values[0])).toEqual([100, 101, 102, 0, 1, 2, 3, 4]);
  expect(heldBack).toBe(true);
  expect(held.beside([]).heldBack).toBe(false);
});

test('each reading starts anew', async () => {
  const held = new HeldBack(numbers(4).source);
  await read(held, 1);
  await read(held, 4);
  expect(valuesOf(held)).toEqual([0, 1, 2, 3]);
});

test('an error reaches the reader, one after what it needs does not', async () => {
  async function* broken() {
    yield sample(1);
    yield sample(2);
    throw new Error('torn');
  }
  const held = new HeldBack(broken);
  await expect(read(held, 3)).rejects.toThrow('torn');
  await read(held, 1);
  expect(valuesOf(held)).toEqual([2]);
});
