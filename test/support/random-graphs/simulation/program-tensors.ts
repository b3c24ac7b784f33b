/** What the tensors of a program hold of those of a region of the graph, and how they are rounded. */
import { refKey } from '../../../../src/graph/edit';
import type { TensorRef } from '../../../../src/graph/ir';
import type { Region } from '../../../../src/passes/quantize/plan/region';
import { type Op, OpKind, type Program, type Rotation, TensorType } from '../../../../src/program/program';
import {
  dynamicRounding,
  gridRounding,
  int16Rounding,
  type Rounding,
  rotatedRounding,
  staticRounding,
} from './rounding';
import { type Bias, readBias } from './weights';

export class ProgramTensors {
  /** Keys of tensors of the graph. */
  private readonly held = new Map<number, string>();
  /** Of codes that stand for values beside those of their zero point. */
  private readonly offsets = new Map<number, number>();
  private readonly constants = new Set<number>();
  private readonly grids = new Map<number, Rounding>();
  private readonly rotations = new Map<number, { from: number; rotation: Rotation }>();
  private readonly bytes: DataView;

  constructor(
    region: Region,
    private readonly program: Program,
    weights: Int32Array,
  ) {
    this.bytes = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
    for (const [i, ref] of region.inputs.entries()) this.hold(program.inputs[i], ref);
  }

  hold(id: number, ref: TensorRef): void {
    this.held.set(id, refKey(ref));
  }

  /** The one of some tensors that holds a tensor of the graph. */
  find(ids: readonly number[], ref: TensorRef): number | undefined {
    return ids.find((id) => this.held.get(id) === refKey(ref));
  }

  /** The real value of the code of zero. */
  offsetOf(id: number): number {
    return this.offsets.get(id) ?? 0;
  }

  biasOf(op: Op): Bias | undefined {
    return 'filter' in op ? readBias(op, this.program, this.bytes) : undefined;
  }

  constantRounding(id: number | undefined): Rounding | undefined {
    return id !== undefined && this.constants.has(id) ? this.roundingOf(id) : undefined;
  }

  roundingOf(id: number): Rounding | undefined {
    const { type, scale, zeroPoint, granularity } = this.program.tensors[id];
    const rotated = this.rotations.get(id);
    if (rotated)
      return rotatedRounding(
        rotated.rotation,
        this.roundingOf(rotated.from),
        staticRounding(scale, zeroPoint),
      );
    if (type === TensorType.Int16) return int16Rounding;
    if (type === TensorType.DynamicInt8) return this.grids.get(id) ?? dynamicRounding(granularity!);
    return type === TensorType.Int8 ? staticRounding(scale, zeroPoint, this.offsetOf(id)) : undefined;
  }

  /** Whether an op only gives a tensor of the graph, or a constant, another form. */
  follow(op: Op): boolean {
    const { kind, inputs, output } = op;
    const [from] = inputs;
    const same = () => {
      this.held.set(output, this.held.get(from)!);
      if (this.offsets.has(from)) this.offsets.set(output, this.offsets.get(from)!);
      return true;
    };
    switch (kind) {
      case OpKind.Quantize:
      case OpKind.Dequantize:
      case OpKind.QuantizeInt16:
      case OpKind.QuantizeDynamic:
        return same();
      case OpKind.QuantizeGrid: {
        const { first, step } = op.grid;
        this.grids.set(output, gridRounding(first, step));
        same();
        this.offsets.set(output, first + Math.round(-first / step) * step);
        return true;
      }
      case OpKind.Rotate:
        this.rotations.set(output, { from, rotation: op.rotation });
        return same();
      case OpKind.Constant:
        this.constants.add(output);
        return true;
      default:
        return false;
    }
  }

  /** An input of the program, shifted so that one of its values is zero. */
  shift(op: Op): void {
    if (op.kind !== OpKind.FloatAffine) throw new Error(`${op.name} shifts nothing`);
    this.held.set(op.output, this.held.get(op.inputs[0])!);
    this.offsets.set(op.output, -this.bytes.getFloat32(op.bOffset, true));
  }
}
