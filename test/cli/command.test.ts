import { InvalidArgumentError } from 'commander';
import { LowbitError } from '../../src/base/errors';
import {
  integer,
  megabytes,
  milliseconds,
  numbers,
  positiveInteger,
  positiveIntegers,
  real,
  runCommand,
} from '../../src/cli/command';

test.each([
  [positiveInteger, '12', 12],
  [integer, '-3', -3],
  [real, '1e-3', 0.001],
  [numbers, '1.5, -2', [1.5, -2]],
  [positiveIntegers, '1,2,4', [1, 2, 4]],
] as const)('%p reads %p', (parse, text, value) => {
  expect(parse(text)).toEqual(value);
});

test.each([
  [positiveInteger, '0'],
  [positiveInteger, '1.5'],
  [integer, ''],
  [integer, '2.5'],
  [real, ' '],
  [real, 'Infinity'],
  [numbers, '1,,2'],
  [numbers, '1,x'],
  [positiveIntegers, '1,0'],
] as const)('%p refuses %p', (parse, text) => {
  expect(() => parse(text)).toThrow(InvalidArgumentError);
});

test('sizes and times have a unit and the digits that tell', () => {
  expect([megabytes(1_234_567), milliseconds(0.5), milliseconds(12.345)]).toEqual([
    '1.23 MB',
    '0.500 ms',
    '12.35 ms',
  ]);
});

describe('runCommand', () => {
  let [out, error] = ['', ''];
  beforeEach(() => {
    [out, error] = ['', ''];
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
      error += text;
      return true;
    });
  });
  afterEach(() => {
    process.exitCode = 0;
    jest.restoreAllMocks();
  });

  test('prints the result as text, or as JSON that keeps infinities', async () => {
    const body = async () => ({ decibels: Number.POSITIVE_INFINITY });
    await runCommand({}, body, () => 'text');
    expect(out).toBe('text\n');
    out = '';
    await runCommand({ json: true }, body, () => 'text');
    expect(JSON.parse(out)).toEqual({ decibels: 'Infinity' });
  });

  test.each([
    [new LowbitError('cancelled', 'Cancelled.'), 130],
    [new LowbitError('io', 'No such file.'), 1],
  ])('writes %p on one line of stderr and sets the exit code to %i', async (failure, code) => {
    await runCommand(
      {},
      async () => {
        throw failure;
      },
      String,
    );
    expect({ out, error, code: process.exitCode }).toEqual({
      out: '',
      error: `tfjs-lowbit: ${failure.message}\n`,
      code,
    });
  });

  test('leaves no listener of signals behind', async () => {
    const before = process.listenerCount('SIGINT');
    await runCommand({}, async () => 1, String);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});
