/** Shared by the kernels with a filter: reads the filter, its scales and its bias, and appends them to a program. */
import type { NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import { LowbitError } from '../src/base/errors';
import type { LowBitFormat, OpKind } from '../src/program/program';
import { type FilterRef, filterRowBytes, WeightFormat, WeightsBuilder } from '../src/program/program';
import { cachedProgram, checkInput, type KernelCall, runProgram } from './kernel';
import { compileOneOp, fusedActivation, type OutputAttrs, outputParams, programKey } from './one-op';

const LOW_BIT_FORMATS = {
  codebook2: WeightFormat.Codebook2,
  codebook3: WeightFormat.Codebook3,
  codebook4: WeightFormat.Codebook4,
  trellis2: WeightFormat.Trellis2,
} as const;

/**
 * How weights of 2, 3 or 4 bits are stored (`WeightFormat`, `LowBitFilterRef`); without `weightFormat` they are int8.
 */
export interface LowBitAttrs {
  weightFormat?: keyof typeof LOW_BIT_FORMATS;
  /** 16 integers in [-63, 63], or as many as there are codes. */
  levels?: number[];
  /** How many neighbouring inputs share a scale, a multiple of 32. Default 0: the whole row. */
  group?: number;
  /** Default 1. */
  unit?: number;
}

export interface WeightedAttrs extends OutputAttrs, LowBitAttrs {
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
  /** Whether `x` is float32; the bias is then as well. */
  floats?: boolean;
  /** The op's own fields, beside filter and activation. */
  fields: object;
}

/** Inputs of kernels with a filter that a program is compiled from. */
export const FILTER_NAMES = ['filter', 'filterScale', 'bias'] as const;

interface FilterTensors {
  filter: TensorInfo;
  filterScale: TensorInfo;
  bias?: TensorInfo;
}

/** The first `count` bytes of a tensor of 32-bit elements; throws if it has fewer. */
function bytesOf(
  { backend, host }: KernelCall,
  kernelName: string,
  filterShape: readonly number[],
  tensor: TensorInfo,
  what: string,
  count: number,
): Uint8Array {
  const data = host.read(backend, tensor);
  if (data.byteLength < count) {
    throw new LowbitError(
      'invalid-argument',
      `${kernelName}: ${what} has ${data.byteLength} bytes, but filter shape [${filterShape}] needs ${count}.`,
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, count);
}

/** Appends a filter to the weights; the attributes give its shape and storage. */
export function appendFilter(
  call: KernelCall,
  { kernelName, outChannels }: Pick<Weighted, 'kernelName' | 'outChannels'>,
  attrs: LowBitAttrs & Pick<WeightedAttrs, 'filterShape'>,
  tensors: FilterTensors,
  weights: WeightsBuilder,
): FilterRef {
  const { filterShape, weightFormat, group = 0, unit = 1 } = attrs;
  const format = weightFormat === undefined ? WeightFormat.Int8 : LOW_BIT_FORMATS[weightFormat];
  const depth = filterShape.reduce((product, dim) => product * dim, 1) / outChannels;
  const append = (tensor: TensorInfo, what: string, count: number) =>
    weights.append(bytesOf(call, kernelName, filterShape, tensor, what, count).slice());
  const filterOffset = append(tensors.filter, 'the filter', outChannels * filterRowBytes(format, depth));
  const biasOffset = tensors.bias && append(tensors.bias, 'bias', 4 * outChannels);
  if (format === WeightFormat.Int8) {
    const scaleOffset = append(tensors.filterScale, 'filterScale', 4 * outChannels);
    return { filterOffset, biasOffset, scaleOffset, format };
  }
  const groups = Math.ceil(depth / (group || depth));
  const levelsOffset = weights.append(levelTable(attrs));
  const scaleOffset = append(tensors.filterScale, 'filterScale', 2 * outChannels * groups);
  return { filterOffset, biasOffset, scaleOffset, levelsOffset, group, unit, format };
}

/** The levels as a program has them. */
export function levelTable({ levels = [] }: LowBitAttrs): Int8Array {
  return Int8Array.from({ length: 16 }, (_, code) => levels[code] ?? 0);
}

export function lowBitFormat(
  kernelName: string,
  name: NonNullable<LowBitAttrs['weightFormat']>,
): LowBitFormat {
  if (!(name in LOW_BIT_FORMATS)) {
    const known = Object.keys(LOW_BIT_FORMATS).join(', ');
    throw new LowbitError(
      'invalid-argument',
      `${kernelName}: expected one of ${known} for weightFormat but received '${name}'.`,
    );
  }
  return LOW_BIT_FORMATS[name];
}

/** The inputs `filter` and `filterScale`, of the dtypes that the weight format requires. */
export function checkFilter(
  kernelName: string,
  inputs: NamedTensorInfoMap,
  { weightFormat }: LowBitAttrs,
): { filter: TensorInfo; filterScale: TensorInfo; lowBit: boolean } {
  const lowBit = weightFormat !== undefined;
  if (lowBit) lowBitFormat(kernelName, weightFormat);
  return {
    filter: checkInput(kernelName, inputs, 'filter', 'int32'),
    filterScale: checkInput(kernelName, inputs, 'filterScale', lowBit ? 'int32' : 'float32'),
    lowBit,
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
  const { floats = false } = weighted;
  const x = checkInput(kernelName, inputs, 'x', floats ? 'float32' : 'int32');
  const { filter, filterScale, lowBit } = checkFilter(kernelName, inputs, attrs);
  const bias = checkInput(kernelName, inputs, 'bias', lowBit || floats ? 'float32' : 'int32');
  const output = outputParams(attrs);
  const program = cachedProgram(call, filter, programKey(kernelName, attrs, [x]), () => {
    const weights = new WeightsBuilder();
    const ref = appendFilter(call, weighted, attrs, { filter, filterScale, bias }, weights);
    const activation = fusedActivation(attrs, output, weights);
    return compileOneOp(
      {
        kind: weighted.kind,
        name: kernelName,
        inputs: [
          {
            params: floats ? undefined : { scale: attrs.inputScale, zeroPoint: attrs.inputZeroPoint },
            rank: x.shape.length,
          },
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
