import { OpKind } from '../src/program/program';
import { affineOf } from './one-op';
import { weightlessKernel } from './weightless';

export interface QuantizedSoftmaxAttrs {
  /** Absent: `x` is float32. */
  inputScale?: number;
  inputZeroPoint?: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

/** Softmax along the last axis. `x`: int32 codes or float32; output: int32 codes or float32, same shape. */
export const quantizedSoftmaxKernel = weightlessKernel<QuantizedSoftmaxAttrs>(
  'QuantizedSoftmax',
  ['x'],
  (attrs) => ({
    kind: OpKind.Softmax,
    inputs: [affineOf(attrs.inputScale, attrs.inputZeroPoint)],
    output: affineOf(attrs.outputScale, attrs.outputZeroPoint),
    fields: () => ({}),
  }),
);
