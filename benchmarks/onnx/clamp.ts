import type { TensorRef } from '../../src/graph/ir';
import type { OnnxBuilder } from './builder';

/**
 * Relu or Relu6 of a value. Where the result is quantized and its codes reach no further than the bounds, quantizing
 * clamps anyway, and the node is left out as onnxruntime's own quantizer does.
 *
 * @param result the tensor that the graph calls the clamped value
 */
export function clamp(
  activation: 'Relu' | 'Relu6',
  value: string,
  builder: OnnxBuilder,
  result: TensorRef,
): string {
  const params = builder.paramsOf(result);
  const highest = params ? (127 - params.zeroPoint) * params.scale : Number.POSITIVE_INFINITY;
  const halfStep = params ? params.scale / 2 : 0;
  const fromZero = params?.zeroPoint === -128;
  if (fromZero && (activation === 'Relu' || highest < 6 + halfStep)) return value;
  if (activation === 'Relu') return builder.node('Relu', [value]);
  return builder.node('Clip', [
    value,
    builder.constant('clip/zero', 'float32', [], [0]),
    builder.constant('clip/six', 'float32', [], [6]),
  ]);
}
