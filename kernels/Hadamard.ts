import type { TensorInfo } from '@tensorflow/tfjs-core';
import { checkArgument } from '../src/base/errors';
import { OpKind } from '../src/program/program';
import { currentEngine } from '../src/runtime/current-engine';
import { elementCount } from './hosts/host';
import { checkInput, fill, type KernelCall, type LowbitKernel } from './kernel';
import { affineOf } from './one-op';
import { runWeightless } from './weightless';

export interface HadamardAttrs {
  /** A power of two from 2 to 4096. */
  block: number;
  /** An unsigned 32-bit integer. */
  seed: number;
  /** Rotates back. */
  inverse?: boolean;
  /** Quantization of `x`; without a scale it is float32. */
  inputScale?: number;
  inputZeroPoint?: number;
  /** Quantization of the output; without a scale it is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
}

function rotateFloats({ backend, host }: KernelCall, x: TensorInfo, attrs: HadamardAttrs): TensorInfo {
  const depth = x.shape.at(-1)!;
  const output = host.allocate(backend, x.shape, 'float32');
  return fill(backend, [output], ([values]) => {
    values.set(host.read(backend, x));
    const { block, seed, inverse } = attrs;
    const rows = elementCount(x.shape.slice(0, -1));
    currentEngine().hadamard(values as Float32Array, { rows, depth, block, seed, inverse });
  })[0];
}

/**
 * A randomised block-Hadamard rotation along the last axis: x' = H_b D x / sqrt(b) on every block, or its inverse.
 *
 * Input: `x` float32 or int32 codes. Output: float32 or int32 codes, same shape.
 */
export const hadamardKernel: LowbitKernel = {
  name: 'Hadamard',
  inputNames: ['x'],
  run(call) {
    const attrs = call.attrs as unknown as HadamardAttrs;
    const [input, output] = [
      affineOf(attrs.inputScale, attrs.inputZeroPoint),
      affineOf(attrs.outputScale, attrs.outputZeroPoint),
    ];
    const x = checkInput('Hadamard', call.inputs, 'x', input ? 'int32' : 'float32');
    checkArgument(x.shape.length > 0, 'x', 'a tensor with a last axis', 'a scalar');
    if (!input && !output) return rotateFloats(call, x, attrs);
    const { block, seed, inverse } = attrs;
    const depth = x.shape.at(-1)!;
    return runWeightless(call, {
      kernelName: 'Hadamard',
      kind: OpKind.Rotate,
      inputs: [{ tensor: x, params: input }],
      output,
      outputRank: x.shape.length,
      key: depth,
      fields: () => ({ rotation: { depth, block, seed, inverse } }),
    });
  },
};
