import { OpKind } from '../src/program/program';
import { affineOf } from './one-op';
import { ANY_SCALE, weightlessKernel } from './weightless';

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
export const quantizedResizeBilinearKernel = weightlessKernel<QuantizedResizeBilinearAttrs>(
  'QuantizedResizeBilinear',
  ['x'],
  (attrs) => ({
    kind: OpKind.ResizeBilinear,
    inputs: [affineOf(attrs.inputScale, attrs.inputZeroPoint)],
    output: affineOf(attrs.outputScale, attrs.outputZeroPoint),
    outputRank: 4,
    fields: () => ({ size: sizeOf(attrs) }),
  }),
);

/** The codes (int32, NHWC) of the nearest pixels. */
export const quantizedResizeNearestNeighborKernel = weightlessKernel<QuantizedResizeAttrs>(
  'QuantizedResizeNearestNeighbor',
  ['x'],
  (attrs) => ({
    kind: OpKind.ResizeNearestNeighbor,
    inputs: [ANY_SCALE],
    output: ANY_SCALE,
    outputRank: 4,
    fields: () => ({ size: sizeOf(attrs) }),
  }),
);
