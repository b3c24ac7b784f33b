/** Named kernels as programs of one op: int8 codes enter and leave as int32 tensors, one code an element. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { checkArgument } from '../src/base/errors';
import type { AffineParams } from '../src/program/affine-params';
import {
  type Activation,
  encodeProgram,
  type Op,
  OpKind,
  type Padding,
  PaddingMode,
  type Program,
  TensorType,
  type WeightsBuilder,
  type Window,
} from '../src/program/program';
import {
  ACTIVATION_NAMES,
  type ActivationName,
  activationFunction,
  clampBounds,
  clampCodes,
  lookupTable,
} from '../src/quantization/activation';
import { currentEngine } from '../src/runtime/current-engine';
import type { CompiledProgram } from '../src/runtime/engine';

/** Attributes of kernels whose output may be int8 codes or, with no `outputScale`, float32. */
export interface OutputAttrs {
  /** Real units per step of the output codes; absent: the output is float32. */
  outputScale?: number;
  outputZeroPoint?: number;
  /** Fused pointwise function, default `linear`. */
  activation?: ActivationName;
  /** Scale and zero point before a function that needs a table (any but linear, relu, relu6). */
  preScale?: number;
  preZeroPoint?: number;
}

export interface WindowAttrs {
  strides: [number, number];
  pad: 'same' | 'valid' | 'explicit';
  /** Top, bottom, left, right; with `pad: 'explicit'`. */
  explicitPads?: [number, number, number, number];
  dilations?: [number, number];
}

const PADDING_MODES = {
  same: PaddingMode.Same,
  valid: PaddingMode.Valid,
  explicit: PaddingMode.Explicit,
} as const;

export function windowOf(attrs: WindowAttrs, kernel: readonly [number, number]): Window {
  const { strides, dilations = [1, 1], pad } = attrs;
  checkArgument(pad in PADDING_MODES, 'pad', "'same', 'valid' or 'explicit'", pad);
  const [top, bottom, left, right] = pad === 'explicit' ? (attrs.explicitPads ?? [0, 0, 0, 0]) : [0, 0, 0, 0];
  const padding: Padding = { mode: PADDING_MODES[pad], top, bottom, left, right };
  return { kernel, strides, dilations, padding };
}

/** The quantization of int8 codes, or undefined, without a scale, for float32. */
export function affineOf(scale: number | undefined, zeroPoint = 0): AffineParams | undefined {
  return scale === undefined ? undefined : { scale, zeroPoint };
}

/** The quantization of an int8 output, or undefined for a float32 one. */
export function outputParams(attrs: OutputAttrs): AffineParams | undefined {
  return affineOf(attrs.outputScale, attrs.outputZeroPoint);
}

/**
 * A fused function as the program has it: clamp bounds, or a table appended to the weights.
 *
 * @param output absent for a float32 output, which takes functions that clamp only
 */
export function fusedActivation(
  attrs: OutputAttrs,
  output: AffineParams | undefined,
  weights: WeightsBuilder,
): Activation {
  const name = attrs.activation ?? 'linear';
  checkArgument(ACTIVATION_NAMES.includes(name), 'activation', `one of ${ACTIVATION_NAMES.join(', ')}`, name);
  const bounds = clampBounds(name);
  if (output === undefined) {
    checkArgument(bounds !== undefined, 'activation', 'linear, relu or relu6 with a float32 output', name);
    return { floatMin: bounds[0], floatMax: bounds[1] };
  }
  if (bounds !== undefined) return clampCodes(bounds, output);
  const { preScale, preZeroPoint = 0 } = attrs;
  checkArgument(preScale !== undefined, 'preScale', `a number (${name} works through a table)`, preScale);
  const table = lookupTable(activationFunction(name), { scale: preScale, zeroPoint: preZeroPoint }, output);
  return { preScale, preZeroPoint, tableOffset: weights.append(table) };
}

interface OneOp {
  kind: OpKind;
  name: string;
  /**
   * Quantization of each input's codes (absent: float32; `integers`: int32 values that are not codes) and how many dims
   * it has.
   */
  inputs: readonly { params: AffineParams | 'integers' | undefined; rank: number }[];
  /** Absent: float32. */
  output: AffineParams | undefined;
  outputRank: number;
  /** The op's fields beside kind, name, inputs and output. */
  fields: object;
}

const FLOAT: AffineParams = { scale: 1, zeroPoint: 0 };

/** Compiles `Cast -> op -> Cast`; without the casts of what is float32. */
export function compileOneOp(one: OneOp, weights: WeightsBuilder): CompiledProgram {
  const program: Program = { tensors: [], ops: [], inputs: [], outputs: [] };
  const add = (type: TensorType, rank: number, { scale, zeroPoint }: AffineParams): number =>
    program.tensors.push({ type, shape: new Array(rank).fill(-1), scale, zeroPoint }) - 1;

  const inputs = one.inputs.map(({ params, rank }) => {
    const outside = add(params ? TensorType.Int32 : TensorType.Float32, rank, FLOAT);
    program.inputs.push(outside);
    if (!params || params === 'integers') return outside;
    const codes = add(TensorType.Int8, rank, params);
    program.ops.push({ kind: OpKind.Cast, name: one.name, inputs: [outside], output: codes });
    return codes;
  });
  const result =
    one.output === undefined
      ? add(TensorType.Float32, one.outputRank, FLOAT)
      : add(TensorType.Int8, one.outputRank, one.output);
  program.ops.push({ ...one.fields, kind: one.kind, name: one.name, inputs, output: result } as Op);
  if (one.output === undefined) {
    program.outputs.push(result);
  } else {
    const outside = add(TensorType.Int32, one.outputRank, FLOAT);
    program.ops.push({ kind: OpKind.Cast, name: one.name, inputs: [result], output: outside });
    program.outputs.push(outside);
  }
  return currentEngine().compile(encodeProgram(program), weights.build());
}

/** A key that distinguishes programs with the same weights, or without any. */
export function programKey(kernelName: string, attrs: object, inputs: readonly TensorInfo[]): string {
  return JSON.stringify([kernelName, attrs, inputs.map((tensor) => tensor.shape.length)]);
}
