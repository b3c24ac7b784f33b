/** What the transformer asks calibration to watch, and what it gets. */
import type { TensorRef } from '../graph/ir';
import type { Range } from '../quantization/affine';

export interface ObservedTensor {
  readonly ref: TensorRef;
  /** Channels (the last axis) whose means are wanted too; absent: the range alone. */
  readonly channels?: number;
}

/** By `node:index`. */
export interface Observations {
  /** The range to quantize each tensor to. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Mean of every channel over the calibration data. */
  readonly means: ReadonlyMap<string, Float64Array>;
  /** The same in the quantized model, of tensors where that was measured. */
  readonly quantizedMeans?: ReadonlyMap<string, Float64Array>;
}
