/** Programs as earlier versions of the package wrote them. */
import { decodeProgram, TensorType } from '../../src/program/program';

const HEADER_WORDS = 8;
const FIELDS = 5;

/**
 * The words of a program in a format version before 5, which has no word for granularity in the record of a tensor: that
 * of dynamic codes lies in the word of the zero point.
 */
export function oldFormat(words: Int32Array, version: number): Int32Array {
  const { tensors, inputs, outputs } = decodeProgram(words);
  const old = [...words];
  let at = HEADER_WORDS + inputs.length + outputs.length;
  for (const { type, shape, granularity } of tensors) {
    if (type === TensorType.DynamicInt8) old[at + 3] = granularity!;
    old.splice(at + 4, 1);
    at += FIELDS - 1 + shape.length;
  }
  old[1] = version;
  old[2] = old.length;
  return Int32Array.from(old);
}
