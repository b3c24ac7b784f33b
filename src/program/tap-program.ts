/** A program with every intermediate result as an output, in real values: what it computes, opened for inspection. */
import { decodeProgram, encodeProgram, OpKind, TensorType } from './program';

/** Ops at the borders of a program; what they store is the tensor before or after them, in another form. */
export const BORDER_OPS: ReadonlySet<OpKind> = new Set([
  OpKind.Quantize,
  OpKind.Dequantize,
  OpKind.Cast,
  OpKind.QuantizeInt16,
  OpKind.QuantizeDynamic,
  OpKind.QuantizeGrid,
]);

/** The result of an op, visible from outside. */
export interface Tap {
  /** Of the op; a truncated one if the node's was very long. */
  readonly name: string;
  readonly kind: OpKind;
  /** Which of the tapped program's outputs. */
  readonly output: number;
  /** How the op stores it: codes with a scale and a zero point, or real values. */
  readonly type: TensorType;
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface TappedProgram {
  readonly program: Int32Array;
  readonly taps: readonly Tap[];
  /** All ops that the program had, in its order. */
  readonly ops: readonly { readonly name: string; readonly kind: OpKind }[];
}

/**
 * Adds an output for the result of every op of a program.
 *
 * @param words as `encodeProgram` makes them; the outputs of the program keep their places
 */
export function tapProgram(words: Int32Array): TappedProgram {
  const program = decodeProgram(words);
  const ops = [...program.ops];

  const outputOf = (id: number): number => {
    const { type, shape } = program.tensors[id];
    if (type !== TensorType.Float32) {
      const real = program.tensors.push({ type: TensorType.Float32, shape, scale: 1, zeroPoint: 0 }) - 1;
      program.ops.push({ kind: OpKind.Dequantize, name: '', inputs: [id], output: real });
      return program.outputs.push(real) - 1;
    }
    const known = program.outputs.indexOf(id);
    return known < 0 ? program.outputs.push(id) - 1 : known;
  };
  const taps = ops
    .filter(({ kind }) => !BORDER_OPS.has(kind))
    .map(({ name, kind, output }): Tap => {
      const { type, scale, zeroPoint } = program.tensors[output];
      return { name, kind, output: outputOf(output), type, scale, zeroPoint };
    });
  return { program: encodeProgram(program), taps, ops };
}
