/** What the kernels with a filter share: reading it, its scales and its bias, and appending them to a program. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { LowbitError } from '../src/errors';
import type { TensorData } from '../src/runtime/engine';
import type { OpKind } from '../src/runtime/program';
import { type FilterRef, WeightFormat, WeightsBuilder } from '../src/runtime/program';
import { cachedProgram, checkInput, type KernelCall, runProgram } from './kernel';
import { compileOneOp, fusedActivation, type OutputAttrs, outputParams, programKey } from './one-op';

export interface WeightedAttrs extends OutputAttrs {
  /** Logical shape of the packed filter. */
  filterShape: number[];
  /** Quantization of the codes of `x`. */
  inputScale: number;
  inputZeroPoint: number;
}

interface Weighted {
  kernelName: string;
  kind: OpKind;
  filterRank: number;
  outChannels: number;
  /** The op's own fields, beside filter and activation. */
  fields: object;
}

function appendFilter(
  { backend, host }: KernelCall,
  { kernelName, outChannels }: Weighted,
  filterShape: readonly number[],
  tensors: { filter: TensorInfo; filterScale: TensorInfo; bias: TensorInfo },
  weights: WeightsBuilder,
): FilterRef {
  const read = (tensor: TensorInfo) => host.read(backend, tensor);
  const need = (what: string, data: TensorData | Int8Array, count: number) => {
    if (data.length >= count) return;
    throw new LowbitError(
      'invalid-argument',
      `${kernelName}: ${what} has ${data.length} elements, but filter shape [${filterShape}] needs ${count}.`,
    );
  };
  const words = read(tensors.filter);
  const codes = new Int8Array(words.buffer, words.byteOffset, words.byteLength);
  const count = filterShape.reduce((product, dim) => product * dim, 1);
  const scales = read(tensors.filterScale) as Float32Array;
  const bias = read(tensors.bias) as Int32Array;
  need('the filter', codes, count);
  need('filterScale', scales, outChannels);
  need('bias', bias, outChannels);
  return {
    filterOffset: weights.append(codes.slice(0, count)),
    scaleOffset: weights.append(scales.slice(0, outChannels)),
    biasOffset: weights.append(bias.slice(0, outChannels)),
    format: WeightFormat.Int8,
  };
}

/** Runs a kernel with inputs `x`, `filter`, `filterScale` and `bias`. */
export function runWeighted(call: KernelCall, attrs: WeightedAttrs, weighted: Weighted): TensorInfo {
  const { inputs } = call;
  const { kernelName } = weighted;
  if (attrs.filterShape.length !== weighted.filterRank) {
    throw new LowbitError(
      'invalid-argument',
      `${kernelName}: expected a filter shape of ${weighted.filterRank} dimensions but received [${attrs.filterShape}].`,
    );
  }
  const x = checkInput(kernelName, inputs, 'x', 'int32');
  const filter = checkInput(kernelName, inputs, 'filter', 'int32');
  const filterScale = checkInput(kernelName, inputs, 'filterScale', 'float32');
  const bias = checkInput(kernelName, inputs, 'bias', 'int32');
  const output = outputParams(attrs);
  const program = cachedProgram(call, filter, programKey(kernelName, attrs, [x]), () => {
    const weights = new WeightsBuilder();
    const ref = appendFilter(call, weighted, attrs.filterShape, { filter, filterScale, bias }, weights);
    const activation = fusedActivation(attrs, output, weights);
    return compileOneOp(
      {
        kind: weighted.kind,
        name: kernelName,
        inputs: [
          { params: { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint }, rank: x.shape.length },
        ],
        output,
        outputRank: x.shape.length,
        fields: { ...weighted.fields, filter: ref, activation },
      },
      weights,
    );
  });
  return runProgram(call, program, [x], output === undefined ? 'float32' : 'int32')[0];
}
