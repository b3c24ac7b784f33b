import { checkArgument } from '../src/base/errors';
import { OpKind, WeightsBuilder } from '../src/program/program';
import { cachedProgram, checkInput, type LowbitKernel, runProgram } from './kernel';
import { affineOf, compileOneOp, programKey } from './one-op';
import { appendFilter, checkFilter, type LowBitAttrs } from './weighted';

export interface QuantizedGatherAttrs extends LowBitAttrs {
  /** [rows, depth] */
  filterShape: number[];
  /** Quantization of the output; without a scale it is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/**
 * Rows of a matrix of 2, 3, 4 or 8 bits a number: an embedding lookup.
 *
 * Inputs: `indices` int32 [...], `filter` and `filterScale` as QuantizedLinear's. Output: float32 or int32 codes
 * [..., depth].
 */
export const quantizedGatherKernel: LowbitKernel = {
  name: 'QuantizedGather',
  inputNames: ['indices', 'filter', 'filterScale'],
  weightNames: ['filter', 'filterScale'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedGatherAttrs;
    const { filterShape } = attrs;
    checkArgument(filterShape.length === 2, 'filterShape', 'rows and depth', `[${filterShape}]`);
    const indices = checkInput('QuantizedGather', call.inputs, 'indices', 'int32');
    const { filter, filterScale } = checkFilter('QuantizedGather', call.inputs, attrs);
    const output = affineOf(attrs.outputScale, attrs.outputZeroPoint);
    const program = cachedProgram(call, filter, programKey('QuantizedGather', attrs, [indices]), () => {
      const weights = new WeightsBuilder();
      const [rows, depth] = filterShape;
      const tensors = { filter, filterScale };
      const ref = appendFilter(
        call,
        { kernelName: 'QuantizedGather', outChannels: rows },
        attrs,
        tensors,
        weights,
      );
      return compileOneOp(
        {
          kind: OpKind.Gather,
          name: 'QuantizedGather',
          inputs: [{ params: 'integers', rank: indices.shape.length }],
          output,
          outputRank: indices.shape.length + 1,
          fields: { filter: ref, rows, depth },
        },
        weights,
      );
    });
    return runProgram(call, program, [indices], output ? 'int32' : 'float32')[0];
  },
};
