import { PaddingMode } from '../../src/program/program';
import { resolveWindow } from '../../src/program/window';

const same = { kernel: [3, 2], strides: [2, 3], padding: { mode: PaddingMode.Same } } as const;

test('the border of same padding is as small as possible, with the odd pixel after', () => {
  expect(resolveWindow(5, 6, same)).toEqual({
    rows: { before: 1, after: 1, out: 3 },
    columns: { before: 0, after: 0, out: 2 },
  });
  expect(resolveWindow(6, 6, same).rows).toEqual({ before: 0, after: 1, out: 3 });
});

test('valid padding has no border and drops what is left over', () => {
  const window = { ...same, padding: { mode: PaddingMode.Valid } };
  expect(resolveWindow(6, 6, window)).toEqual({
    rows: { before: 0, after: 0, out: 2 },
    columns: { before: 0, after: 0, out: 2 },
  });
});

test('dilation spreads a window, explicit padding is taken as given', () => {
  const padding = { mode: PaddingMode.Explicit, top: 2, bottom: 1, left: 0, right: 3 };
  const window = { kernel: [3, 3], strides: [1, 1], dilations: [2, 1], padding } as const;
  expect(resolveWindow(4, 4, window)).toEqual({
    rows: { before: 2, after: 1, out: 3 },
    columns: { before: 0, after: 3, out: 5 },
  });
});
