import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { repairBackend } from '../../src/tfjs/kernel-repairs';

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
      repairBackend(backend);
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

/** Element [a, b, c, d] is the number abcd. */
const numbered = (dtype: 'float32' | 'int32') => {
  const shape = [2, 3, 4, 4];
  const values = Array.from({ length: 96 }, (_, i) => {
    const [a, b, c, d] = [Math.floor(i / 48), Math.floor(i / 16) % 3, Math.floor(i / 4) % 4, i % 4];
    return 1000 * a + 100 * b + 10 * c + d;
  });
  return tf.tensor(values, shape, dtype);
};

/** Masks of begin, end, ellipsis, new and dropped axes. */
type Masks = [number, number, number, number, number];

/** Begin, end, strides and masks of a slice of x, its shape and its values. */
const SLICES: [string, number[], number[], number[], Masks, number[], number[]][] = [
  [
    'x[:, 2, ::2, 3]',
    [0, 2, 0, 3],
    [0, -1, 4, -1],
    [1, 1, 2, 1],
    [1, 1, 0, 0, 10],
    [2, 2],
    [203, 223, 1203, 1223],
  ],
  [
    'x[0, ::2, -1, ::-2]',
    [0, 0, -1, 3],
    [1, 3, 0, 0],
    [1, 2, 1, -2],
    [0, 8, 0, 0, 5],
    [2, 2],
    [33, 31, 233, 231],
  ],
  [
    'x[1, ..., 3, ::3]',
    [1, 0, -1, 0],
    [2, 0, 0, 4],
    [1, 1, 1, 3],
    [0, 0, 2, 0, 5],
    [3, 2],
    [1030, 1033, 1130, 1133, 1230, 1233],
  ],
  [
    'x[:, newaxis, 1, 3:0:-2, 0]',
    [0, 0, 1, 3, 0],
    [2, 1, 2, 0, 1],
    [1, 1, 1, -2, 1],
    [0, 0, 0, 2, 20],
    [2, 1, 2],
    [130, 110, 1130, 1110],
  ],
  ['x[1, 2:2, ::2]', [1, 2, 0], [2, 2, 4], [1, 1, 2], [0, 0, 0, 0, 1], [0, 2, 4], []],
];

describe.each(['cpu', 'wasm'])('on the backend %s', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
    repairBackend(backend);
  });

  test.each(SLICES)('%s has the elements of TensorFlow', (_, begin, end, strides, masks, shape, values) => {
    for (const dtype of ['float32', 'int32'] as const) {
      const before = tf.memory().numDataBuffers;
      const result = tf.tidy(() => tf.stridedSlice(numbered(dtype), begin, end, strides, ...masks));
      expect([result.dtype, result.shape, [...result.dataSync()]]).toEqual([dtype, shape, values]);
      result.dispose();
      expect(tf.memory().numDataBuffers).toBe(before);
    }
  });

  test('an update of rows leaves its input as it is', () => {
    const before = tf.memory().numDataBuffers;
    tf.tidy(() => {
      const given = Float32Array.of(1, 2, 3, 4);
      const rows = tf.tensor2d(given, [2, 2]);
      const updated = tf.tensorScatterUpdate(
        rows,
        tf.tensor2d([[0]], [1, 1], 'int32'),
        tf.tensor2d([[8, 9]]),
      );
      expect([...updated.dataSync()]).toEqual([8, 9, 3, 4]);
      expect([...rows.dataSync()]).toEqual([1, 2, 3, 4]);
      expect([...given]).toEqual([1, 2, 3, 4]);
    });
    expect(tf.memory().numDataBuffers).toBe(before);
  });
});
