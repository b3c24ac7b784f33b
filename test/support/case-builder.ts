/** Builds a program op by op and runs the reference along the way, so that shapes and ranges are known at once. */

import type { AffineParams } from '../../src/program/affine-params';
import {
  type Op,
  OpKind,
  type Program,
  type TensorSpec,
  TensorType,
  WeightsBuilder,
} from '../../src/program/program';
import type { TensorData } from '../../src/runtime/engine';
import { runOp } from '../kernels/reference/run-reference';
import { makeTensor, type ReferenceTensor } from '../kernels/reference/tensor';

/** A program with everything it needs to run, and what the reference says comes out. */
export interface KernelCase {
  readonly program: Program;
  readonly weights: Int32Array;
  readonly inputs: TensorData[];
  readonly inputShapes: number[][];
  /** Codes or floats, one array per program output. */
  readonly expected: number[][];
  readonly outputShapes: number[][];
}

type WithoutNames<T> = T extends Op ? Omit<T, 'name' | 'output'> : never;
/** An op before it has a name and an output tensor. */
export type OpDraft = WithoutNames<Op>;

export type OutputSpec = Pick<TensorSpec, 'type' | 'scale' | 'zeroPoint' | 'granularity'>;

export const FLOAT32: OutputSpec = { type: TensorType.Float32, scale: 1, zeroPoint: 0 };
const INT32: OutputSpec = { type: TensorType.Int32, scale: 1, zeroPoint: 0 };

export const int8 = ({ scale, zeroPoint }: AffineParams): OutputSpec => ({
  type: TensorType.Int8,
  scale,
  zeroPoint,
});

export class CaseBuilder {
  readonly weights = new WeightsBuilder();
  /** By tensor number. */
  readonly tensors: ReferenceTensor[] = [];
  readonly program: Program = { tensors: [], ops: [], inputs: [], outputs: [] };
  private readonly inputs: TensorData[] = [];

  /** @param dynamicBatch leaves the first dimension of every tensor to the plan */
  constructor(private readonly dynamicBatch = false) {}

  shape(id: number): readonly number[] {
    return this.tensors[id]!.shape;
  }

  spec(id: number): TensorSpec {
    return this.tensors[id]!.spec;
  }

  /** A program input of int8 codes (int32 elements and a cast). @returns the int8 tensor */
  codes(shape: readonly number[], values: Int32Array, params: AffineParams): number {
    const elements = this.input({ ...INT32, ...params }, shape, values);
    return this.apply({ kind: OpKind.Cast, inputs: [elements] }, int8(params));
  }

  /** A float32 program input. */
  floats(shape: readonly number[], values: Float32Array): number {
    return this.input(FLOAT32, shape, values);
  }

  /** An int32 program input of numbers that are no codes. */
  integers(shape: readonly number[], values: Int32Array): number {
    return this.input(INT32, shape, values);
  }

  private input(spec: OutputSpec, shape: readonly number[], values: TensorData): number {
    const id = this.add(makeTensor({ ...spec, shape: [...shape] }, shape, Array.from(values)));
    this.program.inputs.push(id);
    this.inputs.push(values);
    return id;
  }

  /** What an op would compute, without adding it. */
  preview(op: OpDraft, spec: OutputSpec): ReferenceTensor {
    const bytes = new Int8Array(this.weights.build().buffer);
    const operands = op.inputs.map((id) => this.tensors[id]!);
    return runOp({ ...op, name: '', output: 0 }, operands, { ...spec, shape: [] }, bytes);
  }

  /** Adds an op. @returns its output tensor */
  apply(op: OpDraft, spec: OutputSpec): number {
    const output = this.add(this.preview(op, spec));
    this.program.ops.push({ ...op, name: `${OpKind[op.kind]}/${output}`, output });
    return output;
  }

  private add(tensor: ReferenceTensor): number {
    const shape = [...tensor.shape];
    if (this.dynamicBatch && shape.length > 0) shape[0] = -1;
    this.program.tensors.push({ ...tensor.spec, shape });
    return this.tensors.push(tensor) - 1;
  }

  /** Makes a tensor an output of the program; int8 codes leave as int32 elements. */
  output(id: number): void {
    const isInt8 = this.spec(id).type === TensorType.Int8;
    const spec = { ...INT32, scale: this.spec(id).scale, zeroPoint: this.spec(id).zeroPoint };
    this.program.outputs.push(isInt8 ? this.apply({ kind: OpKind.Cast, inputs: [id] }, spec) : id);
  }

  build(): KernelCase {
    const { inputs, outputs } = this.program;
    return {
      program: this.program,
      weights: this.weights.build(),
      inputs: this.inputs,
      inputShapes: inputs.map((id) => [...this.shape(id)]),
      expected: outputs.map((id) => this.tensors[id]!.values),
      outputShapes: outputs.map((id) => [...this.shape(id)]),
    };
  }
}
