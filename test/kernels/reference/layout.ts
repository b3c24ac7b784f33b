import { type Op, type OpKind, type TensorSpec, TensorType } from '../../../src/program/program';
import { clamp, toCode } from './requantize';
import { indexOf, isFloat, makeTensor, positions, type ReferenceTensor, scaleOf, sizeOf } from './tensor';

/** Brings every input to the output's scale, (code - zero) * float32(s_in / s_out), and lays them side by side; floats as they are. */
export function concat(
  op: Extract<Op, { kind: OpKind.Concat }>,
  inputs: readonly ReferenceTensor[],
  spec: TensorSpec,
): ReferenceTensor {
  const axis = op.axis < 0 ? op.axis + inputs[0]!.shape.length : op.axis;
  const shape = [...inputs[0]!.shape];
  shape[axis] = inputs.reduce((total, input) => total + input.shape[axis]!, 0);
  const values: number[] = Array(sizeOf(shape));
  const unrounded: number[] = Array(sizeOf(shape));
  let start = 0;
  for (const input of inputs) {
    const multiplier = Math.fround(scaleOf(input.spec) / scaleOf(spec));
    for (const [index, position] of [...positions(input.shape)].entries()) {
      const target = indexOf(
        shape,
        position.map((p, i) => (i === axis ? start + p : p)),
      );
      unrounded[target] = Math.fround((input.values[index]! - input.spec.zeroPoint) * multiplier);
      values[target] = isFloat(spec) ? input.values[index]! : toCode(unrounded[target]!, spec.zeroPoint);
    }
    start += input.shape[axis]!;
  }
  return makeTensor(spec, shape, values, unrounded);
}

export function reshape(
  op: Extract<Op, { kind: OpKind.Reshape }>,
  input: ReferenceTensor,
  spec: TensorSpec,
): ReferenceTensor {
  const known = sizeOf(op.shape.filter((dim) => dim !== -1));
  const shape = op.shape.map((dim) => (dim === -1 ? input.values.length / known : dim));
  return makeTensor(spec, shape, input.values);
}

/** Between int8 codes and int32 elements that carry them; an int32 that is no code becomes the nearest one. */
export function cast(input: ReferenceTensor, spec: TensorSpec): ReferenceTensor {
  const values = spec.type === TensorType.Int8 ? input.values.map((v) => clamp(v, -128, 127)) : input.values;
  return makeTensor(spec, input.shape, values);
}
