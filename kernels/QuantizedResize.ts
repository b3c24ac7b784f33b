import { OpKind } from '../src/program/program';
import { checkInput, type LowbitKernel } from './kernel';
import { affineOf } from './one-op';
import { runWeightless } from './weightless';

export interface QuantizedResizeAttrs {
  /** Height and width of the output. */
  size: [number, number];
  /** Default false, as in TensorFlow; not both. */
  alignCorners?: boolean;
  halfPixelCenters?: boolean;
}

export interface QuantizedResizeBilinearAttrs extends QuantizedResizeAttrs {
  inputScale: number;
  inputZeroPoint: number;
  /** Absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

function sizeOf({ size, alignCorners = false, halfPixelCenters = false }: QuantizedResizeAttrs) {
  const [height, width] = size;
  return { height, width, alignCorners, halfPixelCenters };
}

/** Bilinear interpolation of int8 codes (int32), NHWC; output: int32 codes or float32. */
export const quantizedResizeBilinearKernel: LowbitKernel = {
  name: 'QuantizedResizeBilinear',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedResizeBilinearAttrs;
    const x = checkInput('QuantizedResizeBilinear', call.inputs, 'x', 'int32');
    return runWeightless(call, {
      kernelName: 'QuantizedResizeBilinear',
      kind: OpKind.ResizeBilinear,
      inputs: [{ tensor: x, params: affineOf(attrs.inputScale, attrs.inputZeroPoint) }],
      output: affineOf(attrs.outputScale, attrs.outputZeroPoint),
      outputRank: 4,
      fields: () => ({ size: sizeOf(attrs) }),
    });
  },
};

/** The codes (int32, NHWC) of the nearest pixels. */
export const quantizedResizeNearestNeighborKernel: LowbitKernel = {
  name: 'QuantizedResizeNearestNeighbor',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as QuantizedResizeAttrs;
    const x = checkInput('QuantizedResizeNearestNeighbor', call.inputs, 'x', 'int32');
    const params = { scale: 1, zeroPoint: 0 };
    return runWeightless(call, {
      kernelName: 'QuantizedResizeNearestNeighbor',
      kind: OpKind.ResizeNearestNeighbor,
      inputs: [{ tensor: x, params }],
      output: params,
      outputRank: 4,
      fields: () => ({ size: sizeOf(attrs) }),
    });
  },
};
