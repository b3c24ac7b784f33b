import { codedError, fromUser, withCode } from '../../src/base/coded-errors';
import { LowbitError } from '../../src/base/errors';

test('an error without a code becomes internal and keeps its cause', async () => {
  const cause = new TypeError('x is undefined');
  await expect(withCode('Planning', () => Promise.reject(cause))).rejects.toMatchObject({
    name: 'LowbitError',
    code: 'internal',
    message: expect.stringContaining('Planning failed: TypeError: x is undefined.'),
    cause,
  });
});

test('an error with a code stays as it is', async () => {
  const error = new LowbitError('io', 'gone');
  await expect(withCode('Reading', () => Promise.reject(error))).rejects.toBe(error);
});

test('memory that cannot be had is no fault', () => {
  const cause = (() => {
    try {
      return new Float32Array(2 ** 40);
    } catch (error) {
      return error;
    }
  })();
  expect(codedError(cause, 'Reading').code).toBe('out-of-memory');
  expect(codedError(new RangeError('index 9 of 3'), 'Reading').code).toBe('internal');
  expect(codedError('a string', 'Reading').message).toContain('a string');
});

describe('items of the user', () => {
  async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const item of items) found.push(item);
    return found;
  }

  test('pass, from generators and from lists', async () => {
    async function* numbers() {
      yield* [1, 2];
    }
    expect(await all(fromUser(numbers, 'Data'))).toEqual([1, 2]);
    expect(await all(fromUser(() => [3] as unknown as AsyncIterable<number>, 'Data'))).toEqual([3]);
  });

  test('fail as the user’s own, with the cause', async () => {
    const cause = new TypeError('no file');
    async function* broken() {
      yield 1;
      throw cause;
    }
    const failing = [broken, () => 7 as unknown as AsyncIterable<number>];
    for (const open of failing)
      await expect(all(fromUser(open, 'Data'))).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(all(fromUser(broken, 'Data'))).rejects.toMatchObject({ cause });
  });

  test('are closed when the reader stops', async () => {
    let closed = false;
    async function* numbers() {
      try {
        while (true) yield 1;
      } finally {
        closed = true;
      }
    }
    for await (const _ of fromUser(numbers, 'Data')) break;
    expect(closed).toBe(true);
  });
});
