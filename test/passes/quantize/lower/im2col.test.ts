import { appendIm2col } from '../../../../src/passes/quantize/lower/im2col';
import { appendInput } from '../../../../src/passes/quantize/lower/input';
import { PaddingMode, type Window } from '../../../../src/program/program';
import { resolveWindow } from '../../../../src/program/window';
import { builderOf, ref, valuesOf } from '../../../support/program-of';
import { randomOf } from '../../../support/random';

const SHAPE = [1, 5, 6, 2];

const WINDOWS: [string, Window][] = [
  ['SAME', { kernel: [3, 3], strides: [1, 1], padding: { mode: PaddingMode.Same } }],
  ['SAME with strides', { kernel: [3, 2], strides: [2, 3], padding: { mode: PaddingMode.Same } }],
  ['VALID', { kernel: [2, 3], strides: [1, 2], padding: { mode: PaddingMode.Valid } }],
  [
    'dilated VALID',
    { kernel: [2, 2], strides: [1, 1], dilations: [2, 3], padding: { mode: PaddingMode.Valid } },
  ],
  [
    'explicit padding',
    {
      kernel: [3, 3],
      strides: [2, 2],
      padding: { mode: PaddingMode.Explicit, top: 1, bottom: 2, left: 0, right: 1 },
    },
  ],
];

test.each(WINDOWS)('patches of codes, %s, are the inputs of each window', (name, window) => {
  const random = randomOf(`im2col ${name}`, 0);
  const range = { min: -1, max: 3 };
  const builder = builderOf({ x: { shape: SHAPE, range } });
  appendInput(builder, ref('x'), true);
  const codesId = builder.read(ref('x'));
  const patches = appendIm2col(builder, 'layer', codesId, SHAPE, window);
  const input = Array.from({ length: 60 }, () => random.real(-1, 3));
  const values = valuesOf(builder, [{ shape: SHAPE, values: input }]);
  const codes = values[codesId];
  const { zeroPoint } = builder.paramsOf(codesId);

  const [, height, width, channels] = SHAPE;
  const { rows, columns } = resolveWindow(height, width, window);
  const [dilateY, dilateX] = window.dilations ?? [1, 1];
  const expected: number[] = [];
  for (let y = 0; y < rows.out; y++) {
    for (let x = 0; x < columns.out; x++) {
      for (let i = 0; i < window.kernel[0]; i++) {
        for (let j = 0; j < window.kernel[1]; j++) {
          const row = y * window.strides[0] + i * dilateY - rows.before;
          const column = x * window.strides[1] + j * dilateX - columns.before;
          const inside = row >= 0 && row < height && column >= 0 && column < width;
          for (let c = 0; c < channels; c++)
            expected.push(inside ? codes[(row * width + column) * channels + c] : zeroPoint);
        }
      }
    }
  }
  expect(values[patches]).toEqual(expected);
});
