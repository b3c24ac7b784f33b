/**
 * Builds the quantized program of one region: its tensors, in each form in which ops read them, its ops in order, and the
 * weights that they point into.
 */

import { entryOf } from '../../../base/entry-of';
import { refKey } from '../../../graph/edit';
import type { Shapes } from '../../../graph/infer-shapes';
import type { TensorRef } from '../../../graph/ir';
import type { AffineParams } from '../../../program/affine-params';
import {
  Granularity,
  type Grid,
  type Op,
  OpKind,
  type Program,
  type TensorSpec,
  TensorType,
  WeightsBuilder,
} from '../../../program/program';
import type { Rotation } from '../../../quantization/hadamard';
import { observedKey } from '../../../quantization/observations';
import type { Calibrated } from './calibrated';
import type { WeightOptions } from './weight-options';

/** The engine's limit for names in a program. */
const MAX_NAME_CHARACTERS = 250;

export class ProgramBuilder {
  readonly weights = new WeightsBuilder();
  /** Signal-to-noise of the quantized weights, in dB, by node. */
  readonly weightFidelity = new Map<string, number>();
  /** Nodes whose int16 weights are stored in 8 bits. */
  readonly offsetInt8 = new Set<string>();
  private readonly tensors: TensorSpec[] = [];
  private readonly ops: Op[] = [];
  private readonly inputs: number[] = [];
  private readonly outputs: number[] = [];
  private readonly codes = new Map<string, number>();
  private readonly floats = new Map<string, number>();
  private readonly int16 = new Map<string, number>();
  private readonly dynamic = new Map<string, number>();
  private readonly offsets = new Map<string, number>();

  constructor(
    private readonly shapes: Shapes,
    readonly calibrated: Calibrated,
    readonly options: WeightOptions = {},
  ) {}

  shape(ref: TensorRef): readonly number[] {
    return entryOf(this.shapes, refKey(ref));
  }

  paramsOf(id: number): AffineParams {
    const { scale, zeroPoint } = this.tensors[id];
    return { scale, zeroPoint };
  }

  op(op: Op): void {
    this.ops.push({ ...op, name: op.name.slice(0, MAX_NAME_CHARACTERS) });
  }

  // Tensors that ops write

  /** Declares the codes of a node's result, with parameters other than its range's if an op needs them. */
  result(ref: TensorRef, params = this.calibrated.params(ref)): number {
    const id = this.tensor({ type: TensorType.Int8, shape: this.shape(ref), ...params });
    this.codes.set(refKey(ref), id);
    return id;
  }

  /** Declares a node's result as float32. */
  floatResult(ref: TensorRef): number {
    const id = this.tensor({ type: TensorType.Float32, shape: this.shape(ref), scale: 1, zeroPoint: 0 });
    this.floats.set(refKey(ref), id);
    return id;
  }

  /** Declares codes that no node of the graph stands for. */
  temporary(shape: readonly number[], params: AffineParams): number {
    return this.tensor({ type: TensorType.Int8, shape, ...params });
  }

  /** Declares a tensor that no node of the graph stands for: another one's type and parameters, a shape of its own. */
  temporaryLike(id: number, shape: readonly number[]): number {
    return this.tensor({ ...this.tensors[id], shape });
  }

  private tensor(spec: TensorSpec): number {
    return this.tensors.push(spec) - 1;
  }

  // Tensors that ops read, by the node that was lowered before

  /** The id of a tensor's codes: as stored, or quantized now. */
  read(ref: TensorRef): number {
    const known = this.codes.get(refKey(ref));
    if (known !== undefined) return known;
    const float = entryOf(this.floats, refKey(ref));
    const codes = this.result(ref);
    this.op({ kind: OpKind.Quantize, name: ref.node, inputs: [float], output: codes });
    return codes;
  }

  /** The id of a tensor in float32: as stored, or dequantized now. */
  dequantized(ref: TensorRef): number {
    const known = this.floats.get(refKey(ref));
    if (known !== undefined) return known;
    const codes = entryOf(this.codes, refKey(ref));
    const float = this.floatResult(ref);
    this.op({ kind: OpKind.Dequantize, name: ref.node, inputs: [codes], output: float });
    return float;
  }

  /** The id of a tensor as it is stored: in float32 if it is, else its codes. */
  readStored(ref: TensorRef): number {
    return this.floats.get(refKey(ref)) ?? this.read(ref);
  }

  /** The id of a tensor's int16 codes. */
  readInt16(ref: TensorRef): number {
    const known = this.int16.get(refKey(ref));
    if (known !== undefined) return known;
    const float = this.dequantized(ref);
    const codes = this.tensor({ ...this.tensors[float], type: TensorType.Int16 });
    this.int16.set(refKey(ref), codes);
    this.op({ kind: OpKind.QuantizeInt16, name: ref.node, inputs: [float], output: codes });
    return codes;
  }

  /**
   * The id of a tensor's dynamic int8 codes.
   *
   * @param grid where its values lie on one, and the reader gains by exact codes
   */
  readDynamic(ref: TensorRef, granularity: Granularity, grid?: Grid): number {
    const key = `${refKey(ref)} by ${grid ? 'grid' : Granularity[granularity]}`;
    const known = this.dynamic.get(key);
    if (known !== undefined) return known;
    const float = this.dequantized(ref);
    const codes = this.tensor({
      ...this.tensors[float],
      type: TensorType.DynamicInt8,
      granularity,
    });
    this.dynamic.set(key, codes);
    this.op({
      ...(grid ? { kind: OpKind.QuantizeGrid, grid } : { kind: OpKind.QuantizeDynamic }),
      name: ref.node,
      inputs: [float],
      output: codes,
    });
    return codes;
  }

  /**
   * The id of a tensor's rotated codes: made once for all layers that read them.
   *
   * @param depth its channels, which its shape may leave open
   */
  rotated(ref: TensorRef, depth: number, rotation: Rotation, name: string): number {
    const key = observedKey({ ref, rotation });
    const known = this.codes.get(key);
    if (known !== undefined) return known;
    const input = this.codes.get(refKey(ref)) ?? entryOf(this.floats, refKey(ref));
    const output = this.temporary(this.shape(ref), this.calibrated.rotatedParams(ref, rotation));
    this.op({ kind: OpKind.Rotate, name, inputs: [input], output, rotation: { depth, ...rotation } });
    this.codes.set(key, output);
    return output;
  }

  /** Constant offset c between real values and dequantized codes: real value = (code - zero point) * scale + c. */
  offset(ref: TensorRef): number {
    return this.offsets.get(refKey(ref)) ?? 0;
  }

  setOffset(ref: TensorRef, offset: number): void {
    this.offsets.set(refKey(ref), offset);
  }

  // The region's borders

  /** Declares a float32 input of the region. */
  input(ref: TensorRef): number {
    const float = this.floatResult(ref);
    this.inputs.push(float);
    return float;
  }

  /** A float32 output of the region: as its op stored it, or dequantized. */
  output(ref: TensorRef): void {
    this.outputs.push(this.dequantized(ref));
  }

  build(): Program {
    return { tensors: this.tensors, ops: this.ops, inputs: this.inputs, outputs: this.outputs };
  }
}
