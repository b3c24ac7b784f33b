import { checkArgument } from '../src/base/errors';
import { currentEngine } from '../src/runtime/current-engine';
import { checkInput, fill, type LowbitKernel } from './kernel';
import { affineOf } from './one-op';
import { type LowBitAttrs, levelTable, lowBitFormat } from './weighted';

export interface PiDequantAttrs extends LowBitAttrs {
  weightFormat: NonNullable<LowBitAttrs['weightFormat']>;
  /** [rows, depth] */
  shape: number[];
  /** Quantization of the output; without a scale it is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/**
 * The numbers of a matrix of 2, 3 or 4 bits.
 *
 * Inputs: `codes` and `scales` int32, bytes as `packBytes` makes them: rows of codes, and float16 bits, one a group of
 * every row. Output: float32, or int32 codes, [rows, depth].
 */
export const piDequantKernel: LowbitKernel = {
  name: 'PiDequant',
  inputNames: ['codes', 'scales'],
  run({ inputs, attrs: given, backend, host }) {
    const attrs = given as unknown as PiDequantAttrs;
    const { shape, group = 0, unit = 1 } = attrs;
    const storage = lowBitFormat('PiDequant', attrs.weightFormat);
    checkArgument(shape.length === 2, 'shape', 'rows and depth', `[${shape}]`);
    const codes = checkInput('PiDequant', inputs, 'codes', 'int32');
    const scales = checkInput('PiDequant', inputs, 'scales', 'int32');
    const output = affineOf(attrs.outputScale, attrs.outputZeroPoint);
    const result = host.allocate(backend, shape, output ? 'int32' : 'float32');
    return fill(backend, [result], ([to]) => {
      const [rows, depth] = shape;
      const matrix = {
        ...{ storage, rows, depth, group, unit, levels: levelTable(attrs) },
        codes: host.read(backend, codes) as Int32Array,
        scales: host.read(backend, scales) as Int32Array,
      };
      currentEngine().dequantize(matrix, to, output);
    })[0];
  },
};
