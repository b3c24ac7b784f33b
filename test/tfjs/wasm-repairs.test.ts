import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { repairWasmBackend } from '../../src/tfjs/wasm-repairs';

const flags = (shape: number[], every: number) =>
  tf.tensor(
    Uint8Array.from({ length: shape.reduce((p, d) => p * d, 1) }, (_, i) => Number(i % every === 0)),
    shape,
    'bool',
  );
const numbers = () =>
  tf.tensor1d(
    Int32Array.from({ length: 40 }, (_, i) => i - 20),
    'int32',
  );

const CASES: [string, () => tf.Tensor][] = [
  ['a selection of booleans', () => tf.where(flags([7, 9], 3), flags([7, 9], 2), flags([7, 9], 5))],
  ['a selection of numbers', () => tf.where(flags([40], 3), numbers(), tf.neg(numbers()))],
  ['a triangle of booleans', () => tf.linalg.bandPart(flags([8, 8], 1), -1, 0)],
  ['booleans in reverse', () => tf.reverse(flags([7, 9], 4), 1)],
  ['every other boolean', () => tf.stridedSlice(flags([7, 9], 4), [0, 8], [7, 0], [2, -2])],
  ['every other integer', () => tf.stridedSlice(tf.reshape(numbers(), [4, 10]), [0, 8], [4, 0], [2, -2])],
  ['integers within bounds', () => tf.clipByValue(numbers(), -3, 5)],
];

test.each(CASES)(
  '%s is the same on the WebAssembly backend, whose memory stays whole',
  async (_, compute) => {
    const results: unknown[] = [];
    for (const backend of ['cpu', 'wasm']) {
      await tf.setBackend(backend);
      repairWasmBackend();
      const before = tf.memory().numTensors;
      const around = Array.from({ length: 100 }, (_, i) => tf.fill([1 + (i % 20)], i));
      for (let i = 0; i < 100; i++) {
        const result = tf.tidy(compute);
        results[i] = [result.dtype, result.shape, [...result.dataSync()]];
        result.dispose();
      }
      around.forEach((tensor, i) => {
        expect(tensor.dataSync().every((value) => value === i)).toBe(true);
        tensor.dispose();
      });
      expect(tf.memory().numTensors).toBe(before);
      results.push(results[0]);
    }
    expect(results.at(-1)).toEqual(results.at(-2));
  },
);
