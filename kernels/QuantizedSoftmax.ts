import { OpKind } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { affineOf } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedSoftmaxAttrs {
  /** Absent: `x` is float32. */
  inputScale?: number;
  inputZeroPoint?: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/** Softmax along the last axis. `x`: int32 codes or float32; output: int32 codes or float32, same shape. */
export const quantizedSoftmaxKernel: LowbitKernel = {
  name: 'QuantizedSoftmax',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedSoftmaxAttrs;
    const params = affineOf(attrs.inputScale, attrs.inputZeroPoint);
    const x = checkInput('QuantizedSoftmax', call.inputs, 'x', params ? 'int32' : 'float32');
    return runWeightless(call, {
      kernelName: 'QuantizedSoftmax',
      kind: OpKind.Softmax,
      inputs: [{ tensor: x, params }],
      output: affineOf(attrs.outputScale, attrs.outputZeroPoint),
      outputRank: x.shape.length,
      fields: () => ({}),
    });
  },
};
