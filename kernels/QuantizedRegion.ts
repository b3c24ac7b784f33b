import type { TensorInfo } from '@tensorflow/tfjs-core';
import { currentEngine } from '../src/runtime/current-engine';
import { takeWeights } from '../src/runtime/held-weights';
import { cachedProgram, checkInput, type KernelCall, type LowbitKernel, runProgram } from './kernel';

/**
 * A whole quantized subgraph as one native program.
 *
 * Inputs: the activations `x0`, `x1`... (float32, or int32 with the attribute `integers`; of any shape that the program
 * takes), `program` (int32, the words of `encodeProgram`) and `weights` (int32, the blob its offsets point into).
 * Outputs: the program's, float32.
 */
export const quantizedRegionKernel: LowbitKernel = {
  name: 'QuantizedRegion',
  inputNames: ['...x', 'program', 'weights'],
  weightNames: ['program', 'weights'],
  run(call: KernelCall) {
    const { inputs, attrs, host, backend } = call;
    const program = checkInput('QuantizedRegion', inputs, 'program', 'int32');
    const weights = checkInput('QuantizedRegion', inputs, 'weights', 'int32');
    const activations: TensorInfo[] = [];
    for (const name in inputs) {
      if (name !== 'program' && name !== 'weights') {
        activations.push(checkInput('QuantizedRegion', inputs, name, attrs.integers ? 'int32' : 'float32'));
      }
    }
    const compiled = cachedProgram(call, [program, weights], '', () =>
      currentEngine().compile(
        host.read(backend, program) as Int32Array,
        takeWeights(host.read(backend, weights) as Int32Array),
      ),
    );
    return runProgram(call, compiled, activations, 'float32');
  },
};
