/** Builds the quantized program of one region: tensors with their scales, ops, and the weights they point into. */

import { refKey } from '../../../graph/edit';
import type { Shapes } from '../../../graph/infer-shapes';
import type { Constant, TensorRef } from '../../../graph/ir';
import type { AffineParams } from '../../../program/affine-params';
import {
  type Activation,
  type FloatFunctionKind,
  Granularity,
  type Grid,
  type Int8FilterRef,
  type Int16FilterRef,
  type LowBitFilterRef,
  type LowBitFormat,
  type Op,
  OpKind,
  type Program,
  type TensorSpec,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from '../../../program/program';
import {
  type Bounds,
  boundsOfBoth,
  clampCodes,
  lookupTable,
  quantizeValue,
  UNBOUNDED,
} from '../../../quantization/activation';
import { chooseAffine, chooseSymmetric, type FilterCodes, type Range } from '../../../quantization/affine';
import type { LowBitMatrix } from '../../../quantization/formats/format';
import type { Rotation } from '../../../quantization/hadamard';
import type { Int16Filter } from '../../../quantization/int16-filter';
import { type Observations, observedKey } from '../../../quantization/observations';
import type { WeightOptions } from './weight-options';

/** Where an op puts its result, and the pointwise function on the way there. */
export interface Store {
  readonly result: TensorRef;
  readonly fused?: {
    /** The tensor before the function, whose range the codes that index the table cover. */
    readonly before: TensorRef;
    readonly f: (x: number) => number;
    readonly clamp?: Bounds;
  };
  /** The result is stored as real values (float32). */
  readonly float: boolean;
}

/** One factor and summand for all channels, or one a channel. */
export interface FloatAffine {
  readonly kind?: OpKind.FloatAffine | OpKind.FloatGate;
  readonly factor: Float32Array;
  readonly summand: Float32Array;
  readonly clamp?: Bounds;
}

/** The engine's limit for names in a program. */
const MAX_NAME_CHARACTERS = 250;

const SATURATION_STEPS = 1024;

/** Of a step of a grid: what float32 makes of its values. */
const GRID_TOLERANCE = 1e-3;

/** Drops the ends of a range on which f is constant: codes spent there would all look up the same result. */
export function withoutSaturation(f: (x: number) => number, { min, max }: Range): Range {
  const at = (i: number) => min + ((max - min) * i) / SATURATION_STEPS;
  let first = 0;
  let last = SATURATION_STEPS;
  while (first < last && f(at(first + 1)) === f(min)) first++;
  while (last > first && f(at(last - 1)) === f(max)) last--;
  return { min: at(first), max: at(last) };
}

function rangeOf(values: Float32Array): Range {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max };
}

/** Appends low-bit weights with a bias in real units. */
export function appendLowBitFilter(
  weights: WeightsBuilder,
  { storage, codes, scales, levels, group, unit }: LowBitMatrix,
  bias: Float32Array | undefined,
): LowBitFilterRef {
  return {
    filterOffset: weights.append(codes),
    ...(bias && { biasOffset: weights.append(bias) }),
    scaleOffset: weights.append(scales),
    levelsOffset: weights.append(levels),
    format: storage as LowBitFormat,
    group,
    unit,
  };
}

export class ProgramBuilder {
  readonly weights = new WeightsBuilder();
  private readonly tensors: TensorSpec[] = [];
  private readonly ops: Op[] = [];
  private readonly inputs: number[] = [];
  private readonly outputs: number[] = [];
  /** Signal-to-noise of the quantized weights, in dB, by node. */
  readonly weightFidelity = new Map<string, number>();
  private readonly codes = new Map<string, number>();
  private readonly floats = new Map<string, number>();
  private readonly wide = new Map<string, number>();
  private readonly dynamic = new Map<string, number>();
  private readonly offsets = new Map<string, number>();

  constructor(
    private readonly shapes: Shapes,
    private readonly observations: Observations,
    private readonly sharedRanges: ReadonlyMap<string, TensorRef>,
    readonly options: WeightOptions = {},
  ) {}

  /** Affine parameters of a tensor, from its calibrated range. */
  params(ref: TensorRef): AffineParams {
    return chooseAffine(this.range(ref));
  }

  private range(ref: TensorRef): Range {
    return this.observations.ranges.get(refKey(this.sharedRanges.get(refKey(ref)) ?? ref))!;
  }

  /** Mean of every channel of a tensor over the calibration data, if it was observed. */
  channelMeans(ref: TensorRef): Float64Array | undefined {
    return this.observations.means.get(refKey(ref));
  }

  /** The same in the quantized model, if it was measured there. */
  quantizedMeans(ref: TensorRef): Float64Array | undefined {
    return this.observations.quantizedMeans?.get(refKey(ref));
  }

  shape(ref: TensorRef): readonly number[] {
    return this.shapes.get(refKey(ref))!;
  }

  /** The id of the codes of a tensor that was lowered before: as stored, or quantized now. */
  read(ref: TensorRef): number {
    const known = this.codes.get(refKey(ref));
    if (known !== undefined) return known;
    const real = this.floats.get(refKey(ref))!;
    const codes = this.result(ref);
    this.op({ kind: OpKind.Quantize, name: ref.node, inputs: [real], output: codes });
    return codes;
  }

  /** The id of the real values of a tensor that was lowered before: as stored, or dequantized now. */
  dequantized(ref: TensorRef): number {
    const known = this.floats.get(refKey(ref));
    if (known !== undefined) return known;
    const codes = this.codes.get(refKey(ref))!;
    const real = this.floatResult(ref);
    this.op({ kind: OpKind.Dequantize, name: ref.node, inputs: [codes], output: real });
    return real;
  }

  /** The id of the int16 codes of a tensor that was lowered before. */
  readInt16(ref: TensorRef): number {
    const known = this.wide.get(refKey(ref));
    if (known !== undefined) return known;
    const real = this.dequantized(ref);
    const codes = this.tensor({ ...this.tensors[real], type: TensorType.Int16 });
    this.wide.set(refKey(ref), codes);
    this.op({ kind: OpKind.QuantizeInt16, name: ref.node, inputs: [real], output: codes });
    return codes;
  }

  /** The id of the dynamic int8 codes of a tensor that was lowered before. */
  readDynamic(ref: TensorRef, granularity: Granularity): number {
    const key = `${refKey(ref)} by ${Granularity[granularity]}`;
    const known = this.dynamic.get(key);
    if (known !== undefined) return known;
    const real = this.dequantized(ref);
    const codes = this.tensor({
      ...this.tensors[real],
      type: TensorType.DynamicInt8,
      granularity,
    });
    this.dynamic.set(key, codes);
    const grid = granularity === Granularity.Sample ? this.observations.grids?.get(refKey(ref)) : undefined;
    this.op({
      ...(grid ? { kind: OpKind.QuantizeGrid, grid } : { kind: OpKind.QuantizeDynamic }),
      name: ref.node,
      inputs: [real],
      output: codes,
    });
    return codes;
  }

  /** The id of a tensor that was lowered before: its real values where there are any, else its codes. */
  readFloats(ref: TensorRef): number {
    return this.floats.get(refKey(ref)) ?? this.read(ref);
  }

  paramsOf(id: number): AffineParams {
    const { scale, zeroPoint } = this.tensors[id];
    return { scale, zeroPoint };
  }

  private tensor(spec: TensorSpec): number {
    return this.tensors.push(spec) - 1;
  }

  /** A tensor of codes that no node of the graph stands for. */
  temporary(shape: readonly number[], params: AffineParams): number {
    return this.tensor({ type: TensorType.Int8, shape, ...params });
  }

  /** A tensor that no node of the graph stands for, of another shape than one that is declared, but else like it. */
  temporaryLike(id: number, shape: readonly number[]): number {
    return this.tensor({ ...this.tensors[id], shape });
  }

  /** Declares the tensor of real values of a node's result, which leaves the region. */
  floatResult(ref: TensorRef): number {
    const id = this.tensor({ type: TensorType.Float32, shape: this.shape(ref), scale: 1, zeroPoint: 0 });
    this.floats.set(refKey(ref), id);
    return id;
  }

  /** Declares the tensor of codes of a node's result, with parameters other than its range's if an op needs them. */
  result(ref: TensorRef, params = this.params(ref)): number {
    const id = this.tensor({ type: TensorType.Int8, shape: this.shape(ref), ...params });
    this.codes.set(refKey(ref), id);
    return id;
  }

  op(op: Op): void {
    this.ops.push({ ...op, name: op.name.slice(0, MAX_NAME_CHARACTERS) });
  }

  /**
   * A float32 input of the region.
   *
   * @param read as codes; else only rotated
   * @param grid that its values lie on, where all that reads its codes makes up for their offset
   */
  input(ref: TensorRef, read = true, grid?: Grid): void {
    const real = this.floatResult(ref);
    this.inputs.push(real);
    if (!read) return;
    if (grid) this.inputOnGrid(ref, real, grid);
    else this.op({ kind: OpKind.Quantize, name: ref.node, inputs: [real], output: this.result(ref) });
  }

  /**
   * Codes that are exact for values on a grid. A zero point cannot stand between two codes, as zero may between the values
   * of a grid: -1..1 in 255 steps has none at 0. They are shifted to have, real value = (code - zero point) * scale + offset.
   */
  private inputOnGrid(ref: TensorRef, real: number, { first, step }: Grid): void {
    const zero = Math.round(-first / step);
    const offset = first + zero * step;
    const codes = this.result(ref, { scale: Math.fround(step), zeroPoint: zero - 128 });
    let input = real;
    if (Math.abs(offset) >= GRID_TOLERANCE * step) {
      this.offsets.set(refKey(ref), offset);
      input = this.temporaryLike(real, this.shape(ref));
      const shift = { factor: Float32Array.of(1), summand: Float32Array.of(-offset) };
      this.affineOp(ref.node, real, input, shift);
    }
    this.op({ kind: OpKind.Quantize, name: ref.node, inputs: [input], output: codes });
  }

  /** What the real values of a tensor are more than its codes say. */
  offset(ref: TensorRef): number {
    return this.offsets.get(refKey(ref)) ?? 0;
  }

  /** The id of the rotated codes of a tensor: made once for all layers that read them. */
  rotated(ref: TensorRef, rotation: Rotation, name: string): number {
    const key = observedKey({ ref, rotation });
    const known = this.codes.get(key);
    if (known !== undefined) return known;
    const { min, max } = this.observations.ranges.get(key)!;
    const input = this.codes.get(refKey(ref)) ?? this.floats.get(refKey(ref))!;
    const output = this.temporary(this.shape(ref), chooseSymmetric(Math.max(-min, max)));
    const depth = this.shape(ref).at(-1)!;
    this.op({ kind: OpKind.Rotate, name, inputs: [input], output, rotation: { depth, ...rotation } });
    this.codes.set(key, output);
    return output;
  }

  /** A float32 output of the region: as its op stored it, or dequantized. */
  output(ref: TensorRef): void {
    this.outputs.push(this.dequantized(ref));
  }

  /** Computes x * factor + summand on real values, clamped, or x times that. */
  floatAffine(name: string, from: TensorRef, result: TensorRef, affine: FloatAffine): void {
    this.affineOp(name, this.dequantized(from), this.floatResult(result), affine);
  }

  private affineOp(name: string, input: number, output: number, affine: FloatAffine): void {
    const { kind = OpKind.FloatAffine, factor, summand, clamp: [floatMin, floatMax] = UNBOUNDED } = affine;
    this.op({
      kind,
      name,
      inputs: [input],
      output,
      channels: factor.length,
      aOffset: this.weights.append(factor),
      bOffset: this.weights.append(summand),
      floatMin,
      floatMax,
    });
  }

  /** Computes a function of real values. */
  floatFunction(name: string, from: TensorRef, result: TensorRef, kind: FloatFunctionKind): void {
    const inputs = [this.dequantized(from)];
    this.op({ kind: OpKind.FloatFunction, function: kind, name, inputs, output: this.floatResult(result) });
  }

  /** Whether a layer reads real values. */
  get hasFloatInOut(): boolean {
    return this.ops.some(({ kind }) => kind >= OpKind.QuantizeInt16 && kind !== OpKind.FloatAffine);
  }

  /** Looks up f of one tensor's codes as another's. */
  lookup(from: TensorRef, to: TensorRef, f: (x: number) => number): void {
    const input = this.read(from);
    const table = lookupTable(f, this.paramsOf(input), this.params(to));
    const tableOffset = this.weights.append(table);
    this.op({ kind: OpKind.Lookup, name: to.node, inputs: [input], output: this.result(to), tableOffset });
  }

  /**
   * Declares the tensor that a store writes and the activation on the way.
   *
   * @param own bounds that the op itself clamps to
   */
  store(store: Store, own: Bounds = UNBOUNDED): { output: number; activation: Activation } {
    const { fused, result } = store;
    const bounds = fused?.clamp ? boundsOfBoth(own, fused.clamp) : own;
    if (store.float) {
      return { output: this.floatResult(result), activation: { floatMin: bounds[0], floatMax: bounds[1] } };
    }
    const params = this.params(result);
    const output = this.result(result);
    if (!fused || fused.clamp) return { output, activation: clampCodes(bounds, params) };
    const before = chooseAffine(withoutSaturation(fused.f, this.range(fused.before)));
    return {
      output,
      activation: {
        ...clampCodes(own, before),
        tableOffset: this.weights.append(lookupTable(fused.f, before, params)),
        preScale: before.scale,
        preZeroPoint: before.zeroPoint,
      },
    };
  }

  /** A tensor of codes for constant values, in the range that they have. */
  constant(name: string, { shape, values }: Constant): number {
    const params = chooseAffine(rangeOf(values as Float32Array));
    const codes = Int8Array.from(values, (value) => quantizeValue(value, params));
    const output = this.temporary(shape, params);
    this.op({ kind: OpKind.Constant, name, inputs: [], output, offset: this.weights.append(codes), shape });
    return output;
  }

  filter({ codes, scales }: FilterCodes, bias?: Int32Array | Float32Array): Int8FilterRef {
    return {
      filterOffset: this.weights.append(codes),
      ...(bias && { biasOffset: this.weights.append(bias) }),
      scaleOffset: this.weights.append(scales),
      format: WeightFormat.Int8,
    };
  }

  lowBitFilter(matrix: LowBitMatrix, bias: Float32Array | undefined): LowBitFilterRef {
    return appendLowBitFilter(this.weights, matrix, bias);
  }

  int16Filter({ codes, scales }: Int16Filter, bias: Float32Array): Int16FilterRef {
    return {
      filterOffset: this.weights.append(codes),
      biasOffset: this.weights.append(bias),
      scaleOffset: this.weights.append(scales),
      format: WeightFormat.Int16,
    };
  }

  build(): Program {
    return { tensors: this.tensors, ops: this.ops, inputs: this.inputs, outputs: this.outputs };
  }
}
