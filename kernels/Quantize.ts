import type { TensorInfo } from '@tensorflow/tfjs-core';
import { encodeProgram, OpKind, TensorType } from '../src/program/program';
import { currentEngine } from '../src/runtime/current-engine';
import { weightlessProgram } from '../src/runtime/program-cache';
import { checkInput, type KernelCall, type LowbitKernel, runProgram } from './kernel';
import { programKey } from './one-op';

export interface QuantizeAttrs {
  scale: number;
  zeroPoint: number;
}

/** Runs first -> codes -> second: Quantize and Cast, or Cast and Dequantize. */
function runBorder(call: KernelCall, name: string, x: TensorInfo, toCodes: boolean): TensorInfo {
  const { scale, zeroPoint } = call.attrs as unknown as QuantizeAttrs;
  const program = weightlessProgram(programKey(name, call.attrs, [x]), () => {
    const shape = x.shape.map(() => -1);
    const [from, to] = toCodes
      ? [TensorType.Float32, TensorType.Int32]
      : [TensorType.Int32, TensorType.Float32];
    const words = encodeProgram({
      tensors: [
        { type: from, shape, scale: 1, zeroPoint: 0 },
        { type: TensorType.Int8, shape, scale, zeroPoint },
        { type: to, shape, scale: 1, zeroPoint: 0 },
      ],
      ops: [
        { kind: toCodes ? OpKind.Quantize : OpKind.Cast, name, inputs: [0], output: 1 },
        { kind: toCodes ? OpKind.Cast : OpKind.Dequantize, name, inputs: [1], output: 2 },
      ],
      inputs: [0],
      outputs: [2],
    });
    return currentEngine().compile(words, new Int32Array(0));
  });
  return runProgram(call, program, [x], toCodes ? 'int32' : 'float32')[0];
}

/** Codes of real values: clamp(round(x / scale) + zeroPoint, -128, 127). `x` float32, output int32, same shape. */
export const quantizeKernel: LowbitKernel = {
  name: 'Quantize',
  inputNames: ['x'],
  run: (call) => runBorder(call, 'Quantize', checkInput('Quantize', call.inputs, 'x', 'float32'), true),
};

/** Real values of codes: (x - zeroPoint) * scale. `x` int32, output float32, same shape. */
export const dequantizeKernel: LowbitKernel = {
  name: 'Dequantize',
  inputNames: ['x'],
  run: (call) => runBorder(call, 'Dequantize', checkInput('Dequantize', call.inputs, 'x', 'int32'), false),
};
