import { encodeProgram, type Op, OpKind, TensorType } from '../../src/program/program';

/**
 * A program of some hundred bytes, encoded: a picture, enlarged; its output, or one of a pixel made of it.
 */
export function enlarging(size: number, toFloat: boolean) {
  const spec = (type: TensorType) => ({ type, shape: [-1, -1, -1, -1], scale: 1, zeroPoint: 0 });
  const resize = (name: string, side: number, from: number): Op => ({
    ...{ kind: OpKind.ResizeNearestNeighbor, name, inputs: [from], output: from + 1 },
    size: { height: side, width: side, alignCorners: false, halfPixelCenters: false },
  });
  const ops: Op[] = [
    { kind: OpKind.Quantize, name: 'in', inputs: [0], output: 1 },
    resize('large', size, 1),
    resize('small', 1, 2),
    { kind: OpKind.Dequantize, name: 'out', inputs: [toFloat ? 2 : 3], output: 4 },
  ];
  return encodeProgram({
    tensors: [0, 1, 2, 3, 4].map((id) => spec(id % 4 === 0 ? TensorType.Float32 : TensorType.Int8)),
    ops: toFloat ? ops.filter(({ name }) => name !== 'small') : ops,
    inputs: [0],
    outputs: [4],
  });
}
