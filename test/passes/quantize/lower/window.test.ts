import { tapShares } from '../../../../src/passes/quantize/lower/window';
import { PaddingMode, type Window } from '../../../../src/program/program';

const window = (more: Partial<Window>): Window => ({
  kernel: [3, 1],
  strides: [1, 1],
  padding: { mode: PaddingMode.Same },
  ...more,
});

const shape = (height: number) => [1, height, 5, 1];

test.each<[string, Window, number, number, number[]]>([
  ['SAME, stride 1', window({}), 4, 4, [3 / 4, 1, 3 / 4]],
  ['SAME, stride 2 of an even size', window({ strides: [2, 1] }), 4, 2, [1, 1, 1 / 2]],
  ['dilated', window({ dilations: [2, 1] }), 4, 4, [1 / 2, 1, 1 / 2]],
  ['VALID', window({ padding: { mode: PaddingMode.Valid } }), 4, 2, [1, 1, 1]],
  [
    'explicit padding',
    window({ padding: { mode: PaddingMode.Explicit, top: 2, bottom: 0 } }),
    4,
    4,
    [1 / 2, 3 / 4, 1],
  ],
  ['of a size that is not known', window({}), -1, -1, [1, 1, 1]],
])('shares of the taps of a window: %s', (_, given, input, result, expected) => {
  expect(tapShares(given, shape(input), shape(result))).toEqual(expected);
});
