import { OpKind } from '../src/program/program';
import { clampCodes } from '../src/quantization/activation';
import { checkInput, type LowbitKernel } from './kernel';
import { affineOf, type WindowAttrs, windowOf } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedPoolAttrs extends WindowAttrs {
  /** Window [height, width]; [0, 0]: the whole input. */
  filterSize: [number, number];
  inputScale: number;
  inputZeroPoint: number;
  /** Average pooling only; default: as the input. */
  outputScale?: number;
  outputZeroPoint?: number;
  /** Average pooling only: the output is float32. */
  floatOutput?: boolean;
}

function poolKernel(name: string, kind: OpKind.MaxPool | OpKind.AvgPool): LowbitKernel {
  return {
    name,
    inputNames: ['x'],
    run(call) {
      const attrs = call.attrs as unknown as QuantizedPoolAttrs;
      const x = checkInput(name, call.inputs, 'x', 'int32');
      const input = { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint };
      const codes = affineOf(attrs.outputScale, attrs.outputZeroPoint) ?? input;
      const output = attrs.floatOutput ? undefined : codes;
      return runWeightless(call, {
        kernelName: name,
        kind,
        inputs: [{ tensor: x, params: input }],
        output,
        outputRank: 4,
        fields: () => ({
          window: windowOf(attrs, attrs.filterSize),
          activation: output ? clampCodes([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], output) : {},
        }),
      });
    },
  };
}

/** Maximum over windows of int8 codes, NHWC; padding takes no part. Input and output: int32 codes of one scale. */
export const quantizedMaxPoolKernel = poolKernel('QuantizedMaxPool', OpKind.MaxPool);

/** Mean over windows of int8 codes, NHWC, of the elements that are not padding. Input: int32 codes; output: the same or float32. */
export const quantizedAvgPoolKernel = poolKernel('QuantizedAvgPool', OpKind.AvgPool);
