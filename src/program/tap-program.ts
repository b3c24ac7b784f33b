/** A program with every intermediate result as an output, in real values: what it computes, opened for inspection. */
import { OpKind, TensorType } from './program';
import { HEADER_WORDS, type ProgramTensor, readProgram } from './read-program';

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
  /** Which of the op's results. */
  readonly result: number;
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

/** A float32 tensor of the same shape. */
function floatTensor({ shape: dims }: ProgramTensor): number[] {
  const one = new Int32Array(Float32Array.of(1).buffer)[0];
  return [TensorType.Float32, dims.length, one, 0, ...dims];
}

/** An op without name and parameters. */
function dequantizeOp(from: number, to: number): number[] {
  return [OpKind.Dequantize, 7, 0, 1, from, 1, to];
}

/**
 * Adds an output for the result of every op of a program. It needs to know the frame of an op's record only, so that it
 * serves ops of every kind.
 *
 * @param program words as `encodeProgram` makes them; the outputs it has keep their places
 */
export function tapProgram(program: Int32Array): TappedProgram {
  const [magic, version, , tensorCount, opCount, inputCount] = program;
  const { inputs, outputs, tensors, ops } = readProgram(program);
  const floats: number[][] = [];
  const dequantized: number[][] = [];

  const outputOf = (id: number): number => {
    if (tensors[id].type !== TensorType.Float32) {
      const real = tensorCount + floats.push(floatTensor(tensors[id])) - 1;
      dequantized.push(dequantizeOp(id, real));
      return outputs.push(real) - 1;
    }
    const known = outputs.indexOf(id);
    return known < 0 ? outputs.push(id) - 1 : known;
  };
  const taps = ops
    .filter(({ kind }) => !BORDER_OPS.has(kind))
    .flatMap(({ name, kind, results }) =>
      results.map((id, result): Tap => {
        const { type, scale, zeroPoint } = tensors[id];
        return { name, kind, result, output: outputOf(id), type, scale, zeroPoint };
      }),
    );

  const words = [
    ...inputs,
    ...outputs,
    ...tensors.flatMap((tensor) => tensor.words),
    ...floats.flat(),
    ...ops.flatMap((op) => op.words),
    ...dequantized.flat(),
  ];
  const counts = [tensorCount + floats.length, opCount + dequantized.length, inputCount, outputs.length];
  const header = [magic, version, HEADER_WORDS + words.length, ...counts, program[7]];
  return { program: Int32Array.from([...header, ...words]), taps, ops };
}
